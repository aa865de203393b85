/**
 * Symbols of a stock Linux kernel, read out of guest memory: distributions ship bzImages without any, but the running
 * kernel has its own tables (`symbols/kallsyms.ts`). They are there as soon as the kernel is decompressed.
 */

import { hasSetupHeader, parseSetupHeader } from '../../boot/linux/setup-header.ts'
import { readLinear } from '../../inspect/linear-memory.ts'
import type { MachineView, VcpuView } from '../../inspect/machine-view.ts'
import { type KernelSymbol, parseKallsyms } from '../../symbols/kallsyms.ts'

/** Where a bzImage puts its kernel when the address space is not randomised (`nokaslr`). */
export interface LinuxImage {
  /** Guest-physical address of the decompressed kernel and of its first instruction. */
  readonly start: number
  /** Bytes from there that it uses. */
  readonly length: number
}

/** Bounds what is read of a kernel that was put anywhere. */
const LARGEST_KERNEL = 2 ** 29

/** The kernel's text lies in a window of 1 GiB, mapped with 2 MiB pages (Documentation/arch/x86/x86_64/mm.rst). */
const WINDOW = 0xffff_ffff_8000_0000n
const WINDOW_END = 0xffff_ffff_c000_0000n
const LARGE_PAGE = 0x20_0000n

/** undefined when the image is no bzImage. Throws ImageError for one that can't be booted. */
export function recognizeLinux(name: string, image: Uint8Array): LinuxImage | undefined {
  if (!hasSetupHeader(image)) return undefined
  const header = parseSetupHeader({ name, image, cmdline: '' })
  return { start: header.preferredAddress, length: header.initSize }
}

/** Reads the tables where an unrandomised kernel lies; undefined while it is not (completely) decompressed. */
export function kernelSymbolsInRam(machine: MachineView, image: LinuxImage): KernelSymbol[] | undefined {
  const bytes = machine.readPhysical(image.start, image.length)
  return bytes === undefined ? undefined : parseKallsyms(bytes)
}

/** Reads the tables of the kernel that the address space maps, wherever it was put; `unmapped` when it maps none. */
export function mappedKernelSymbols(machine: MachineView, vcpu: VcpuView): KernelSymbol[] | 'unmapped' | undefined {
  const isMapped = (address: bigint): boolean => readLinear(machine, vcpu, address, 1).length === 1
  let start = WINDOW
  while (start < WINDOW_END && !isMapped(start)) start += LARGE_PAGE
  if (start === WINDOW_END) return 'unmapped'
  let end = start + LARGE_PAGE
  while (end < WINDOW_END && end - start < BigInt(LARGEST_KERNEL) && isMapped(end)) end += LARGE_PAGE
  return parseKallsyms(readLinear(machine, vcpu, start, Number(end - start)))
}
