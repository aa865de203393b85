/** What lies where in an address space by what the debugger knows: sections of symbol files, modules of a Linux kernel. */

import type { MemoryArea } from '../inspect/area-index.ts'
import type { MachineView, VcpuView } from '../inspect/machine-view.ts'
import { ElfError } from '../symbols/elf/elf-error.ts'
import { ExpressionError } from './expression/expression-error.ts'
import { VcpuSubject } from './expression/subject.ts'
import { moduleNameOf, readModulePlaces } from './linux/kernel-modules.ts'
import type { SymbolBook, SymbolModule } from './symbol-book.ts'

/** A file can have a section for each function (`-ffunction-sections`). */
const MOST_SECTIONS = 512

/** Symbols of a Linux kernel between which a section lies (include/asm-generic/sections.h). */
const KERNEL_SECTIONS = [
  ['.text', '_stext', '_etext'],
  ['.rodata', '__start_rodata', '__end_rodata'],
  ['.data', '_sdata', '_edata'],
  ['.init', '__init_begin', '__init_end'],
  ['.bss', '__bss_start', '__bss_stop'],
] as const

/**
 * Their addresses are those of the address space that each file's code runs in, whichever is looked at.
 * @param isPlaced is that address of a symbol where it will be? Not that of a kernel that has yet to choose its place:
 * such a kernel has no areas.
 */
export function linearAreas(
  book: SymbolBook,
  machine: MachineView,
  vcpu: VcpuView,
  isPlaced: (address: bigint) => boolean,
): MemoryArea[] {
  const kernelStart = book.byName('start_kernel')?.address
  const kernelIsPlaced = kernelStart === undefined || isPlaced(kernelStart)
  const modules = book.modules.filter(({ role }) => role !== 'kernel' || kernelIsPlaced)
  const files = modules.filter(({ file }) => file !== undefined)
  const areas = files.flatMap(module => sections(book, module, files.length > 1))
  if (files.some(({ role }) => role === 'kernel')) {
    const known = new Set(files.filter(({ role }) => role === 'module').map(({ name }) => moduleNameOf(name)))
    areas.push(...kernelModules(book, machine, vcpu).filter(({ name }) => !known.has(name)))
  } else if (modules.some(({ role }) => role === 'tables')) areas.push(...kernelSections(book))
  return areas
}

function sections(book: SymbolBook, { name, role, file }: SymbolModule, several: boolean): MemoryArea[] {
  if (file === undefined) return []
  const areas: MemoryArea[] = []
  const origin = role === 'module' ? moduleNameOf(name) : (name.split('/').at(-1) ?? name)
  try {
    for (const { name: section, start, end } of file.loadedSections()) {
      if (areas.length >= MOST_SECTIONS) break
      if (role === 'module') areas.push({ kind: 'module', name: `${origin} ${section}`, start, end })
      else areas.push({ kind: 'section', name: several ? `${section} of ${origin}` : section, start, end })
    }
  } catch (error) {
    if (!(error instanceof ElfError)) throw error
    book.report(file, error.message)
  }
  return areas
}

/** All that the kernel has loaded; none where its list can't be read. */
function kernelModules(book: SymbolBook, machine: MachineView, vcpu: VcpuView): MemoryArea[] {
  if (book.byName('modules') === undefined) return []
  try {
    const places = readModulePlaces(book, new VcpuSubject(vcpu, machine))
    return places.map(({ name, base, size }) => ({ kind: 'module', name, start: base, end: base + BigInt(size) }))
  } catch (error) {
    if (error instanceof ExpressionError) return []
    throw error
  }
}

function kernelSections(book: SymbolBook): MemoryArea[] {
  return KERNEL_SECTIONS.flatMap(([name, first, last]) => {
    const [start, end] = [book.byName(first)?.address, book.byName(last)?.address]
    return start === undefined || end === undefined || end <= start ? [] : [{ kind: 'section', name, start, end }]
  })
}
