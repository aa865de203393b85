/**
 * Keeps the symbol book in step with a running Linux kernel: where it has put itself, whether its symbol file is the
 * right build, its modules.
 *
 * A kernel is in its place when it first loads CR3 with page tables of its own, in `startup_64` or `startup_32`:
 * decompressed, relocated, about to be mapped where it will run if it is not yet, and none of its C code has run there.
 * Whoever runs the guest asks {@link seek} at each write of CR3 while {@link seeking} says so, which is a handful of
 * times.
 */

import { cpuMode, type ExecutionMode } from '../../inspect/cpu-mode.ts'
import type { MachineView, VcpuView } from '../../inspect/machine-view.ts'
import { DebugFile } from '../../symbols/dwarf/debug-file.ts'
import { ElfError } from '../../symbols/elf/elf-error.ts'
import { ExpressionError } from '../expression/expression-error.ts'
import { VcpuSubject } from '../expression/subject.ts'
import type { SymbolBook } from '../symbol-book.ts'
import { type LoadedModule, moduleNameOf, readModules } from './kernel-modules.ts'
import { findKernelSlide, runningBuildId } from './kernel-slide.ts'
import { kernelSymbolsInRam, type LinuxImage, runningKernelSymbols } from './kernel-tables.ts'

/** What the book calls the kernel's own tables of symbols. */
export const KERNEL_TABLES = 'kernel tables'
/** A kernel of the symbol file is found within so many writes of CR3, or is another; its decompressor makes few. */
const MOST_SEEKS = 100
/** Attempts to read the kernel's own tables; each reads the whole kernel. */
const MOST_TABLE_SEARCHES = 3

export interface FollowerOptions {
  /** The bzImage that boots, if it is one: without a symbol file the kernel's own tables tell the names. */
  readonly image?: LinuxImage | undefined
  /** It stays where it was linked to: `nokaslr` on its command line. */
  readonly isFixed?: boolean
  /** Files of modules (`.ko`), which get their symbols once the guest has loaded them. */
  readonly modulePaths?: readonly string[]
}

export class KernelFollower {
  readonly #book: SymbolBook
  readonly #image: LinuxImage | undefined
  readonly #isFixed: boolean
  /** Module files by the kernel's name for them. */
  readonly #files: ReadonlyMap<string, string>
  readonly #placed = new Map<string, bigint>()
  #located = false
  #seeks = 0
  #tableSearches = 0
  #moduleChanges: readonly bigint[] | undefined

  constructor(book: SymbolBook, { image, isFixed = false, modulePaths = [] }: FollowerOptions = {}) {
    this.#book = book
    this.#image = image
    this.#isFixed = isFixed
    this.#files = new Map(modulePaths.map(path => [moduleNameOf(path), path]))
  }

  /** Whether it is known where the kernel's symbols are. */
  get located(): boolean {
    return this.#located
  }

  /** Is it worth to look whenever the guest writes CR3? */
  get seeking(): boolean {
    return !this.#located && this.#seeks < MOST_SEEKS && (this.#image !== undefined || this.#kernelFile !== undefined)
  }

  /** As {@link locate}, at a write of CR3. True also when it has given up: {@link seeking} has changed. */
  seek(machine: MachineView, vcpu: VcpuView): boolean {
    this.#seeks++
    return this.locate(machine, vcpu) || !this.seeking
  }

  /** The guest begins anew: its kernel may go elsewhere. Until it is found there, it is taken to be where it was. */
  forget(): void {
    this.#located = false
    this.#seeks = 0
    this.#tableSearches = 0
    this.#moduleChanges = undefined
    for (const name of this.#placed.keys()) this.#book.removeFile(this.#files.get(name) ?? name)
    this.#placed.clear()
  }

  /**
   * Looks for the kernel, at any stop in the mode that it runs in. True when its symbols are there now: names have to be
   * resolved again.
   */
  locate(machine: MachineView, vcpu: VcpuView): boolean {
    if (this.#located || cpuMode(vcpu).mode !== this.#mode) return false
    this.#located = this.#locateFile(machine, vcpu) || this.#readTables(machine, vcpu)
    return this.#located
  }

  /** Where a kernel begins that is not randomised; undefined when that is of no interest (any more). */
  get entry(): bigint | undefined {
    return this.#image !== undefined && !this.#located && this.#wantsTables ? BigInt(this.#image.start) : undefined
  }

  /** Reads the kernel's own tables at its {@link entry}. True when its symbols are there now. */
  locateAtEntry(machine: MachineView): boolean {
    const found = this.#image && kernelSymbolsInRam(machine, this.#image)
    if (found === undefined) return false
    this.#book.addKernel(KERNEL_TABLES, found)
    this.#located = true
    return true
  }

  get #mode(): ExecutionMode {
    const bits = this.#image?.bits ?? this.#kernelFile?.bits ?? 64
    return bits === 64 ? '64-bit' : '32-bit protected'
  }

  get #wantsTables(): boolean {
    return this.#image !== undefined && this.#kernelFile === undefined
  }

  get #kernelFile(): DebugFile | undefined {
    return this.#book.modules.find(({ role }) => role === 'kernel')?.file
  }

  /** A file of another build would name the wrong places: it is left out. */
  #locateFile(machine: MachineView, vcpu: VcpuView): boolean {
    const kernel = this.#kernelFile
    const place = kernel && findKernelSlide(machine, vcpu, kernel, this.#image)
    if (kernel === undefined || place === undefined) return false
    kernel.slide = place.slide
    const running = runningBuildId(machine, vcpu, kernel, this.#image)
    if (running === undefined || kernel.buildId === undefined || running === kernel.buildId) return true
    this.#book.refuse(
      kernel,
      `is of another build than the running kernel (build id ${kernel.buildId}, not ${running})`,
    )
    return false
  }

  #readTables(machine: MachineView, vcpu: VcpuView): boolean {
    if (this.#image === undefined || !this.#wantsTables || this.#tableSearches >= MOST_TABLE_SEARCHES) return false
    // In user mode the address space may have little of the kernel (page-table isolation).
    if (vcpu.cpl !== 0) return false
    const found = runningKernelSymbols(machine, vcpu, this.#image)
    if (found === 'unmapped') return false
    this.#tableSearches++
    if (found === undefined) return false
    this.#book.addKernel(KERNEL_TABLES, found)
    return true
  }

  /**
   * Where the kernel comes by when the list of modules changes: one is in it and has not run yet, or is about to go.
   */
  get moduleChanges(): readonly bigint[] {
    if (!this.#located || this.#files.size === 0) return []
    this.#moduleChanges ??= ['do_init_module', 'free_module'].flatMap(name => this.#book.functionsNamed(name))
    return this.#moduleChanges
  }

  /** Is that address of a symbol where it will be? Not that of a kernel that has yet to choose its place. */
  isPlaced(address: bigint): boolean {
    if (this.#located || this.#isFixed || this.#image === undefined) return true
    return this.#kernelFile?.symbolAt(address) === undefined
  }

  /**
   * Places the symbols of modules that are loaded, and forgets those that are not any more. True when anything changed;
   * undefined when the kernel's list can't be read (here). What is wrong with a file stands in the book's problems.
   */
  followModules(machine: MachineView, vcpu: VcpuView): boolean | undefined {
    if (this.#files.size === 0) return false
    const loaded = this.#loadedModules(machine, vcpu)
    if (loaded === undefined) return undefined
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

  /** undefined when the list can't be read: early in the boot, or in an address space without it. */
  #loadedModules(machine: MachineView, vcpu: VcpuView): ReadonlyMap<string, LoadedModule> | undefined {
    try {
      const isWanted = (name: string): boolean => this.#files.has(name)
      const modules = readModules(this.#book, new VcpuSubject(vcpu, machine), isWanted)
      return new Map(modules.map(each => [each.name, each]))
    } catch (error) {
      if (error instanceof ExpressionError) return undefined
      throw error
    }
  }

  #place(path: string, { name, base, sections }: LoadedModule): void {
    this.#placed.set(name, base)
    try {
      this.#book.addFile(DebugFile.open(path, { sectionAddresses: sections }), 'module')
    } catch (error) {
      // A module without its symbols is no reason to end the session.
      if (!(error instanceof ElfError) && !isFileError(error)) throw error
      this.#book.complain(`${path}: ${error.message}`)
    }
  }
}

const isFileError = (error: unknown): error is NodeJS.ErrnoException => error instanceof Error && 'code' in error
