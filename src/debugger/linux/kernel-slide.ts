/**
 * Where a Linux kernel runs: with KASLR it moves by a multiple of 2 MiB at each boot. Its entry points are in registers
 * that the processor needs, and its banner is in memory; what the symbol file says of both gives the distance.
 *
 *     const place = findKernelSlide(machine, vcpu, vmlinux)     // undefined while the kernel is not there yet
 *     if (place !== undefined) vmlinux.slide = place.slide
 */

import { decodeInterruptTable } from '../../inspect/descriptor-tables.ts'
import { readLinear } from '../../inspect/linear-memory.ts'
import type { MachineView, VcpuView } from '../../inspect/machine-view.ts'
import type { DebugInfo } from '../../symbols/dwarf/debug-info.ts'
import { ElfError } from '../../symbols/elf/elf-error.ts'
import { parseNotes } from '../../symbols/elf/notes.ts'

export interface KernelPlace {
  readonly slide: bigint
  /** What gave it away. */
  readonly by: 'LSTAR' | 'IDT' | 'banner'
}

/** CONFIG_PHYSICAL_ALIGN is at least this on x86-64. */
const ALIGNMENT = 0x20_0000n
/** The kernel's text lies in a window of 1 GiB (Linux Documentation/arch/x86/x86_64/mm.rst). */
const WINDOW = 0x4000_0000n
const PAGE_FAULT = 14
const BANNER = 'Linux version '
const NT_GNU_BUILD_ID = 3
const LARGEST_NOTES = 0x1_0000n

export function findKernelSlide(machine: MachineView, vcpu: VcpuView, kernel: DebugInfo): KernelPlace | undefined {
  const linked = (name: string): bigint | undefined => {
    const symbol = kernel.symbolNamed(name)
    return symbol && BigInt.asUintN(64, symbol.address - kernel.slide)
  }
  const banner = linked('linux_banner')
  const fits = (slide: bigint): boolean => {
    if (slide % ALIGNMENT !== 0n || slide >= WINDOW || slide <= -WINDOW) return false
    return banner === undefined || hasBanner(machine, vcpu, BigInt.asUintN(64, banner + slide))
  }
  const bySyscall = distance(vcpu.register('msr_lstar'), linked('entry_SYSCALL_64'))
  if (bySyscall !== undefined && fits(bySyscall)) return { slide: bySyscall, by: 'LSTAR' }
  const byFault = distance(pageFaultHandler(machine, vcpu), linked('asm_exc_page_fault') ?? linked('page_fault'))
  if (byFault !== undefined && fits(byFault)) return { slide: byFault, by: 'IDT' }
  if (banner === undefined) return undefined
  for (let slide = 0n; slide < WINDOW; slide += ALIGNMENT) if (fits(slide)) return { slide, by: 'banner' }
  return undefined
}

function distance(running: bigint | undefined, linked: bigint | undefined): bigint | undefined {
  if (running === undefined || running === 0n || linked === undefined) return undefined
  return BigInt.asIntN(64, running - linked)
}

function pageFaultHandler(machine: MachineView, vcpu: VcpuView): bigint | undefined {
  const { base, limit } = vcpu.table('idtr')
  const table = readLinear(machine, vcpu, base, Math.min(limit + 1, (PAGE_FAULT + 1) * 16))
  const gate = decodeInterruptTable(table, 'long')[PAGE_FAULT]
  return gate?.present ? gate.offset : undefined
}

function hasBanner(machine: MachineView, vcpu: VcpuView, address: bigint): boolean {
  const bytes = readLinear(machine, vcpu, address, BANNER.length)
  return Buffer.from(bytes).toString('latin1') === BANNER
}

/** The build id in the notes of the running kernel, which has to be the symbol file's; undefined if it can't be read. */
export function runningBuildId(machine: MachineView, vcpu: VcpuView, kernel: DebugInfo): string | undefined {
  const start = kernel.symbolNamed('__start_notes')?.address
  const stop = kernel.symbolNamed('__stop_notes')?.address
  if (start === undefined || stop === undefined || stop <= start || stop - start > LARGEST_NOTES) return undefined
  const bytes = readLinear(machine, vcpu, start, Number(stop - start))
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
