/**
 * Symbols of a stock Linux kernel, read out of guest memory: distributions ship bzImages without any, but the running
 * kernel has its own tables (`symbols/kallsyms.ts`). They are there as soon as the kernel is decompressed.
 *
 * Where to read is told by the page tables in 64-bit mode: the kernel has a window of its own. A 32-bit one lies
 * somewhere in the low memory, all of which is mapped: its own addresses in registers tell.
 */

import { hasSetupHeader, parseSetupHeader } from '../../boot/linux/setup-header.ts'
import { instructionPointer, pagingMode } from '../../inspect/cpu-mode.ts'
import { readLinear } from '../../inspect/linear-memory.ts'
import type { MachineView, VcpuView } from '../../inspect/machine-view.ts'
import { type KernelSymbol, parseKallsyms } from '../../symbols/kallsyms.ts'
import { pageFaultHandler } from './page-fault-handler.ts'

/** Where a bzImage puts its kernel when the address space is not randomised (`nokaslr`). */
export interface LinuxImage {
  /** Guest-physical address of the decompressed kernel and of its first instruction. */
  readonly start: number
  /** Bytes from there that it uses. */
  readonly length: number
  /** A randomised one starts at a multiple of so many bytes, a power of two. */
  readonly alignment: number
  readonly bits: 32 | 64
}

/** Bounds what is read of a kernel that was put anywhere. */
const LARGEST_KERNEL = 2 ** 29

/** The text of a 64-bit kernel lies in a window of 1 GiB, mapped with 2 MiB pages (Documentation/arch/x86/x86_64/mm.rst). */
const WINDOW = 0xffff_ffff_8000_0000n
const WINDOW_END = 0xffff_ffff_c000_0000n
const LARGE_PAGE = 0x20_0000n

/** undefined when the image is no bzImage. Throws ImageError for one that can't be booted. */
export function recognizeLinux(name: string, image: Uint8Array): LinuxImage | undefined {
  if (!hasSetupHeader(image)) return undefined
  const header = parseSetupHeader({ name, image, cmdline: '' })
  const { preferredAddress: start, initSize: length, alignment, has64 } = header
  return { start, length, alignment, bits: has64 ? 64 : 32 }
}

/**
 * Reads the tables where an unrandomised kernel lies; undefined while it is not (completely) decompressed.
 * @param start guest-physical address of a kernel that was put elsewhere
 */
export function kernelSymbolsInRam(
  machine: MachineView,
  { start: linked, length, bits }: LinuxImage,
  start = linked,
): KernelSymbol[] | undefined {
  const bytes = machine.readPhysical(start, length)
  return bytes === undefined ? undefined : parseKallsyms(bytes, bits === 32 ? 4 : 8)
}

/** Reads the tables of the kernel that runs, wherever it was put; `unmapped` when there is none (yet). */
export function runningKernelSymbols(
  machine: MachineView,
  vcpu: VcpuView,
  image: LinuxImage,
): KernelSymbol[] | 'unmapped' | undefined {
  if (image.bits === 64) return mappedKernelSymbols(machine, vcpu)
  if (pagingMode(vcpu) !== 'no paging') return lowMemorySymbols(machine, vcpu, image)
  const start = earlyStart(vcpu, image)
  return start === undefined ? 'unmapped' : kernelSymbolsInRam(machine, image, start)
}

/**
 * Where a 32-bit kernel lies that has loaded CR3 and is about to turn paging on: its code still runs at physical
 * addresses, from its beginning (arch/x86/kernel/head_32.S, startup_32), and its page tables are a part of it. Its
 * decompressor does without page tables.
 */
function earlyStart(vcpu: VcpuView, { length, alignment }: LinuxImage): number | undefined {
  const at = Number(instructionPointer(vcpu))
  const start = at - (at % alignment)
  const tables = Number(vcpu.register('cr3'))
  return tables > at && tables < start + length ? start : undefined
}

/** By the handler of page faults, which is the kernel's: nothing else has a place that all address spaces share. */
function lowMemorySymbols(
  machine: MachineView,
  vcpu: VcpuView,
  { length: claimed }: LinuxImage,
): KernelSymbol[] | 'unmapped' | undefined {
  const length = BigInt(Math.min(claimed, LARGEST_KERNEL))
  const isMapped = (address: bigint): boolean => readLinear(machine, vcpu, address, 1).length === 1
  const handler = pageFaultHandler(machine, vcpu)
  if (handler === undefined || !isMapped(handler)) return 'unmapped'
  let start = handler - (handler % LARGE_PAGE)
  while (handler - start < length && isMapped(start - LARGE_PAGE)) start -= LARGE_PAGE
  return parseKallsyms(readLinear(machine, vcpu, start, Number(handler - start + length)), 4)
}

/** In 64-bit mode. */
function mappedKernelSymbols(machine: MachineView, vcpu: VcpuView): KernelSymbol[] | 'unmapped' | undefined {
  const isMapped = (address: bigint): boolean => readLinear(machine, vcpu, address, 1).length === 1
  let start = WINDOW
  while (start < WINDOW_END && !isMapped(start)) start += LARGE_PAGE
  if (start === WINDOW_END) return 'unmapped'
  let end = start + LARGE_PAGE
  while (end < WINDOW_END && end - start < BigInt(LARGEST_KERNEL) && isMapped(end)) end += LARGE_PAGE
  return parseKallsyms(readLinear(machine, vcpu, start, Number(end - start)))
}
