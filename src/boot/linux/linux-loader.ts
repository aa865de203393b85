/**
 * Linux bzImage by the 64-bit or the 32-bit boot protocol (Linux Documentation/arch/x86/boot.rst). The 16-bit setup
 * code, which would ask a BIOS, is skipped: what it finds out stands in the zero page that we fill.
 */

import { type BootRequest, type EntryState, type GuestRam, ImageError, type Loader } from '../boot-target.ts'
import { cString } from '../c-string.ts'
import { longModeEntry, protectedModeEntry } from '../entry-state.ts'
import { loadInitrd } from '../initrd.ts'
import { PAGE_SIZE, Placement } from '../placement.ts'
import { DEFAULT_LOAD_ADDRESS, hasSetupHeader, parseSetupHeader, type SetupHeader } from './setup-header.ts'
import { buildZeroPage, ZERO_PAGE_SIZE } from './zero-page.ts'

/** boot.rst, "64-bit Boot Protocol": the entry is the load address plus 0x200. */
const ENTRY_64_OFFSET = 0x200
const MIB = 0x100000

/** Enters the kernel in 64-bit mode where it can be, in 32-bit mode otherwise. */
export const linux: Loader = {
  protocol: 'linux',
  recognizes: hasSetupHeader,
  load: (request, ram) => load(request, ram, { allow64: true }),
}

/** Always the 32-bit entry, as an older boot loader would. */
export const linux32: Loader = {
  protocol: 'linux32',
  recognizes: hasSetupHeader,
  load: (request, ram) => load(request, ram, { allow64: false }),
}

function load(request: BootRequest, ram: GuestRam, { allow64 }: { allow64: boolean }): EntryState {
  const header = parseSetupHeader(request)
  const cmdlineBytes = cString(request, request.cmdline)
  const cmdlineLength = cmdlineBytes.length - 1
  if (cmdlineLength > header.cmdlineSize) {
    throw new ImageError(
      `${request.name}: the command line has ${cmdlineLength} bytes, this kernel takes at most ${header.cmdlineSize}; shorten it`,
    )
  }
  const placement = new Placement(request, ram)
  const loadAddress = placeKernel(request, placement, header)
  const initrd = loadInitrd(request, ram, placement, { to: header.initrdMax + 1, highest: true })
  const cmdline = placement.allocateStructure(cmdlineBytes.length, 'the command line')
  const zeroPage = placement.allocateStructure(ZERO_PAGE_SIZE, 'the zero page', PAGE_SIZE)
  ram.write(loadAddress, header.kernel)
  ram.write(cmdline, cmdlineBytes)
  ram.write(zeroPage, buildZeroPage({ header, loadAddress, cmdline, initrd, rsdp: request.rsdp, map: ram.map }))
  return header.has64 && allow64
    ? longModeEntry(ram, placement, loadAddress + ENTRY_64_OFFSET, { rsi: zeroPage })
    : protectedModeEntry(ram, placement, loadAddress + header.entry32, { rsi: zeroPage })
}

/**
 * The preferred address, or the next higher one with room for a relocatable kernel. A lower one would be no help:
 * the kernel decompresses itself to the preferred address or above (boot.rst, "init_size").
 */
function placeKernel(request: BootRequest, placement: Placement, header: SetupHeader): number {
  const { preferredAddress, initSize, alignment } = header
  const start = placement.isFree(preferredAddress, initSize)
    ? preferredAddress
    : header.relocatable
      ? placement.find(initSize, { align: Math.max(alignment, PAGE_SIZE), from: preferredAddress })
      : undefined
  if (start === undefined) {
    const needed = Math.ceil((Math.max(preferredAddress, DEFAULT_LOAD_ADDRESS) + initSize) / MIB)
    throw new ImageError(
      `${request.name}: the kernel needs ${needed} MiB of RAM to unpack itself, the machine has ${Math.floor(placement.end / MIB)} MiB; give it more memory`,
    )
  }
  placement.claim(start, initSize, 'the kernel')
  return start
}
