/**
 * Where a Linux kernel runs: with KASLR it moves by a multiple of 2 MiB at each boot. Its entry points are in registers
 * that the processor needs, and its banner is in memory; what the symbol file says of both gives the distance.
 *
 * A 64-bit kernel has its addresses, and is looked for, once it has page tables. A 32-bit one loads CR3 while paging is
 * off: it is looked for in physical memory, which it maps at a fixed distance.
 *
 *     const place = findKernelSlide(machine, vcpu, vmlinux)     // undefined while the kernel is not there yet
 *     if (place !== undefined) vmlinux.slide = place.slide
 */

import { pagingMode } from '../../inspect/cpu-mode.ts'
import { readLinear } from '../../inspect/linear-memory.ts'
import type { MachineView, VcpuView } from '../../inspect/machine-view.ts'
import type { DebugInfo } from '../../symbols/dwarf/debug-info.ts'
import { ElfError } from '../../symbols/elf/elf-error.ts'
import { parseNotes } from '../../symbols/elf/notes.ts'
import type { LinuxImage } from './kernel-tables.ts'
import { pageFaultHandler } from './page-fault-handler.ts'

export interface KernelPlace {
  readonly slide: bigint
  /** What gave it away. */
  readonly by: 'LSTAR' | 'IDT' | 'banner'
}

/** CONFIG_PHYSICAL_ALIGN is at least this on x86-64. */
const ALIGNMENT = 0x20_0000n
/** The kernel's text lies in a window of 1 GiB (Linux Documentation/arch/x86/x86_64/mm.rst). */
const WINDOW = 0x4000_0000n
/** CONFIG_PHYSICAL_ALIGN of i386 is at least this. */
const SMALLEST_ALIGNMENT = 0x2000
const BANNER = 'Linux version '
const NT_GNU_BUILD_ID = 3
const LARGEST_NOTES = 0x1_0000n

/** @param image that boots; without it a 32-bit kernel is found only when it has paging. */
export function findKernelSlide(
  machine: MachineView,
  vcpu: VcpuView,
  kernel: DebugInfo,
  image?: LinuxImage,
): KernelPlace | undefined {
  const linked = (name: string): bigint | undefined => linkedAddress(kernel, name)
  const read = kernelMemory(machine, vcpu, kernel, image)
  const alignment = alignmentOf(kernel, image)
  const banner = linked('linux_banner')
  const fits = (slide: bigint): boolean => {
    if (slide % alignment !== 0n || slide >= WINDOW || slide <= -WINDOW) return false
    return banner === undefined || hasBanner(read, BigInt.asUintN(kernel.bits, banner + slide))
  }
  const bySyscall = distance(vcpu.register('msr_lstar'), linked('entry_SYSCALL_64'))
  if (bySyscall !== undefined && fits(bySyscall)) return { slide: bySyscall, by: 'LSTAR' }
  const byFault = distance(pageFaultHandler(machine, vcpu), linked('asm_exc_page_fault') ?? linked('page_fault'))
  if (byFault !== undefined && fits(byFault)) return { slide: byFault, by: 'IDT' }
  if (banner === undefined) return undefined
  for (let slide = 0n; slide < WINDOW; slide += alignment) if (fits(slide)) return { slide, by: 'banner' }
  return undefined
}

function distance(running: bigint | undefined, linked: bigint | undefined): bigint | undefined {
  if (running === undefined || running === 0n || linked === undefined) return undefined
  return BigInt.asIntN(64, running - linked)
}

function linkedAddress(kernel: DebugInfo, name: string): bigint | undefined {
  const symbol = kernel.symbolNamed(name)
  return symbol && BigInt.asUintN(64, symbol.address - kernel.slide)
}

/** A 32-bit kernel is moved by CONFIG_PHYSICAL_ALIGN in both spaces, which its image tells. */
function alignmentOf(kernel: DebugInfo, image: LinuxImage | undefined): bigint {
  return kernel.bits === 32 && image !== undefined ? BigInt(Math.max(image.alignment, SMALLEST_ALIGNMENT)) : ALIGNMENT
}

/** Reads what a kernel has at a linear address: as many of the bytes as are there. */
type KernelMemory = (address: bigint, length: number) => Uint8Array

/** A 32-bit kernel without paging lies where it will be mapped from, the distance of which its file and image tell. */
function kernelMemory(
  machine: MachineView,
  vcpu: VcpuView,
  kernel: DebugInfo,
  image: LinuxImage | undefined,
): KernelMemory {
  const text = linkedAddress(kernel, '_text')
  if (image === undefined || text === undefined || kernel.bits === 64 || pagingMode(vcpu) !== 'no paging')
    return (address, length) => readLinear(machine, vcpu, address, length)
  const pageOffset = text - BigInt(image.start)
  return (address, length) => {
    const physical = Number(BigInt.asUintN(32, address - pageOffset))
    return machine.readPhysical(physical, length) ?? new Uint8Array(0)
  }
}

function hasBanner(read: KernelMemory, address: bigint): boolean {
  return Buffer.from(read(address, BANNER.length)).toString('latin1') === BANNER
}

/** The build id in the notes of the running kernel, which has to be the symbol file's; undefined if it can't be read. */
export function runningBuildId(
  machine: MachineView,
  vcpu: VcpuView,
  kernel: DebugInfo,
  image?: LinuxImage,
): string | undefined {
  const start = kernel.symbolNamed('__start_notes')?.address
  const stop = kernel.symbolNamed('__stop_notes')?.address
  if (start === undefined || stop === undefined || stop <= start || stop - start > LARGEST_NOTES) return undefined
  const bytes = kernelMemory(machine, vcpu, kernel, image)(start, Number(stop - start))
  if (bytes.length < Number(stop - start)) return undefined
  try {
    for (const note of parseNotes(bytes, 4, 'the running kernel'))
      if (note.name === 'GNU' && note.type === NT_GNU_BUILD_ID) return Buffer.from(note.description).toString('hex')
  } catch (error) {
    // Something else lies there: there is no build id to compare.
    if (!(error instanceof ElfError)) throw error
  }
  return undefined
}
