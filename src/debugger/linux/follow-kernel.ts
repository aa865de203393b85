/** Keeps the symbol book in step with a running Linux kernel: its slide, whether it is the right build, its modules. */

import { cpuMode } from '../../inspect/cpu-mode.ts'
import type { MachineView, VcpuView } from '../../inspect/machine-view.ts'
import { DebugFile } from '../../symbols/dwarf/debug-file.ts'
import { VcpuSubject } from '../expression/subject.ts'
import type { SymbolBook } from '../symbol-book.ts'
import { type LoadedModule, moduleNameOf, readModules } from './kernel-modules.ts'
import { findKernelSlide, runningBuildId } from './kernel-slide.ts'

export class KernelFollower {
  readonly #book: SymbolBook
  /** Module files by the kernel's name for them. */
  readonly #files: ReadonlyMap<string, string>
  readonly #placed = new Map<string, bigint>()
  #located = false

  /** @param modulePaths files of modules (`.ko`), which get their symbols once the guest has loaded them. */
  constructor(book: SymbolBook, modulePaths: readonly string[] = []) {
    this.#book = book
    this.#files = new Map(modulePaths.map(path => [moduleNameOf(path), path]))
  }

  /** Whether the slide of the kernel is known. */
  get located(): boolean {
    return this.#located
  }

  /**
   * Looks for the kernel, at any stop in 64-bit mode. True when its symbols have moved: names have to be resolved again.
   */
  locate(machine: MachineView, vcpu: VcpuView): boolean {
    if (this.#located || cpuMode(vcpu).mode !== '64-bit') return false
    const kernel = this.#book.modules.find(({ role }) => role === 'kernel')?.file
    if (kernel === undefined) return false
    const place = findKernelSlide(machine, vcpu, kernel)
    if (place === undefined) return false
    this.#located = true
    const moved = kernel.slide !== place.slide
    kernel.slide = place.slide
    const running = runningBuildId(machine, vcpu, kernel)
    if (running !== undefined && kernel.buildId !== undefined && running !== kernel.buildId)
      this.#book.report(
        kernel,
        `is of another build than the running kernel (build id ${kernel.buildId}, not ${running})`,
      )
    return moved
  }

  /**
   * Places the symbols of modules that are loaded, and forgets those that are not any more. True when anything changed.
   * Throws `ExpressionError` when the kernel's list can't be read, and Node's error for a file that can't.
   */
  followModules(machine: MachineView, vcpu: VcpuView): boolean {
    if (this.#files.size === 0) return false
    const loaded = new Map(readModules(this.#book, new VcpuSubject(vcpu, machine)).map(each => [each.name, each]))
    let changed = false
    for (const [name, base] of this.#placed) {
      if (loaded.get(name)?.base === base) continue
      this.#book.removeFile(this.#files.get(name) ?? name)
      this.#placed.delete(name)
      changed = true
    }
    for (const [name, path] of this.#files) {
      const module = loaded.get(name)
      if (module === undefined || this.#placed.has(name)) continue
      this.#place(path, module)
      changed = true
    }
    return changed
  }

  #place(path: string, { name, base, sections }: LoadedModule): void {
    this.#book.addFile(DebugFile.open(path, { sectionAddresses: sections }), 'module')
    this.#placed.set(name, base)
  }
}
