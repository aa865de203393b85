/** Modules that a running Linux kernel has loaded, from its list `modules` by the types of its `vmlinux`. */

import { type StructType, stripped, type Type } from '../../symbols/dwarf/type-model.ts'
import { ExpressionError } from '../expression/expression-error.ts'
import type { Subject } from '../expression/subject.ts'
import { type FoundMember, findMember } from '../expression/types-of-scope.ts'
import type { SymbolBook } from '../symbol-book.ts'

export interface LoadedModule {
  readonly name: string
  /** Linear address of its code, and the bytes of it. */
  readonly base: bigint
  readonly size: number
  /** Where its sections lie; `.text` at least. */
  readonly sections: ReadonlyMap<string, bigint>
}

/** Bounds of lists that a guest keeps. */
const MOST_MODULES = 4096
const MOST_SECTIONS = 512
const LONGEST_NAME = 64

/**
 * Those that are wanted, by the kernel's names for them. Throws {@link ExpressionError} when the kernel's types or its
 * list can't be read.
 */
export function readModules(
  book: SymbolBook,
  subject: Subject,
  isWanted: (name: string) => boolean = () => true,
): LoadedModule[] {
  const reader = new ModuleReader(book, subject)
  return reader.all(isWanted)
}

/** Where the code of each module lies, without its sections. Throws as {@link readModules}. */
export function readModulePlaces(book: SymbolBook, subject: Subject): Omit<LoadedModule, 'sections'>[] {
  return new ModuleReader(book, subject).places()
}

/** The name that a kernel gives a module file: `/lib/.../nf-tables.ko.xz` is `nf_tables`. */
export function moduleNameOf(path: string): string {
  const file = path.slice(path.lastIndexOf('/') + 1)
  return file.replace(/\.ko(?:\..*)?$/, '').replaceAll('-', '_')
}

class ModuleReader {
  readonly #book: SymbolBook
  readonly #subject: Subject
  readonly #module: StructType
  readonly #next: FoundMember

  constructor(book: SymbolBook, subject: Subject) {
    this.#book = book
    this.#subject = subject
    this.#module = this.#struct('struct module')
    this.#next = member(this.#struct('struct list_head'), 'next')
  }

  all(isWanted: (name: string) => boolean): LoadedModule[] {
    const wanted = this.#list().filter(({ name }) => isWanted(name))
    return wanted.map(({ name, address }) => this.#one(name, address))
  }

  places(): Omit<LoadedModule, 'sections'>[] {
    return this.#list().map(({ name, address }) => ({ name, ...this.#text(address) }))
  }

  #list(): { readonly name: string; readonly address: bigint }[] {
    const head = this.#book.byName('modules')?.address
    if (head === undefined) throw new ExpressionError('the kernel has no list "modules": its symbols are not known')
    const list = member(this.#module, 'list').offset
    const next = this.#next.offset
    const modules: { name: string; address: bigint }[] = []
    const seen = new Set<bigint>([head])
    for (
      let at = this.#pointer(head, next);
      !seen.has(at) && modules.length < MOST_MODULES;
      at = this.#pointer(at, next)
    ) {
      seen.add(at)
      const address = at - BigInt(list)
      const name = this.#string(address + BigInt(member(this.#module, 'name').offset))
      modules.push({ name, address })
    }
    return modules
  }

  #one(name: string, address: bigint): LoadedModule {
    const { base, size } = this.#text(address)
    const sections = this.#sections(address)
    if (!sections.has('.text')) sections.set('.text', base)
    return { name, base, size, sections }
  }

  /** `mem[MOD_TEXT]` since Linux 6.4, `core_layout` since 4.5, `module_core` before. */
  #text(address: bigint): { base: bigint; size: number } {
    const memory = findMember(this.#module, 'mem')
    const layout = memory === undefined ? findMember(this.#module, 'core_layout') : elementOf(memory)
    if (layout !== undefined) {
      const struct = structOf(layout.type)
      const at = address + BigInt(layout.offset)
      return {
        base: this.#pointer(at, member(struct, 'base').offset),
        size: Number(this.#integer(at, member(struct, 'size'))),
      }
    }
    return {
      base: this.#pointer(address, member(this.#module, 'module_core').offset),
      size: Number(this.#integer(address, member(this.#module, 'core_size'))),
    }
  }

  /** Kernels with CONFIG_KALLSYMS show the sections in /sys/module; without, only the code's place is known. */
  #sections(address: bigint): Map<string, bigint> {
    const sections = new Map<string, bigint>()
    const attributes = findMember(this.#module, 'sect_attrs')
    const target = stripped(attributes?.type)
    if (attributes === undefined || target?.kind !== 'pointer') return sections
    const table = stripped(target.target)
    if (table?.kind !== 'struct') return sections
    const count = findMember(table, 'nsections')
    const entries = findMember(table, 'attrs')
    const entry = stripped(entries && elementOf(entries)?.type)
    if (count === undefined || entries === undefined || entry?.kind !== 'struct') return sections
    const where = findMember(entry, 'address')
    const name = sectionName(entry)
    const at = this.#pointer(address, attributes.offset)
    if (at === 0n || where === undefined || name === undefined || entry.size === undefined) return sections
    const total = Math.min(MOST_SECTIONS, Number(this.#integer(at, count)))
    for (let index = 0; index < total; index++) {
      const one = at + BigInt(entries.offset + index * entry.size)
      sections.set(this.#string(this.#pointer(one, name)), this.#integer(one, where))
    }
    return sections
  }

  #struct(name: string): StructType {
    const type = stripped(this.#book.findType(name))
    if (type?.kind !== 'struct') throw new ExpressionError(`"${name}" is not in the symbol files`)
    return type
  }

  #pointer(base: bigint, offset: number): bigint {
    return this.#subject.integer('linear', base + BigInt(offset), this.#next.type.size === 4 ? 4 : 8)
  }

  #integer(base: bigint, { offset, type }: FoundMember): bigint {
    return this.#subject.integer('linear', base + BigInt(offset), Math.min(type.size ?? 8, 8))
  }

  #string(address: bigint): string {
    const codes: number[] = []
    for (let at = 0n; at < BigInt(LONGEST_NAME); at++) {
      const code = Number(this.#subject.integer('linear', address + at, 1))
      if (code === 0) break
      codes.push(code)
    }
    return String.fromCharCode(...codes)
  }
}

/** The name is in `battr.attr.name`, in `mattr.attr.name` before Linux 5.8, in `name` of still older ones. */
function sectionName(entry: StructType): number | undefined {
  for (const outer of ['battr', 'mattr']) {
    const attribute = findMember(entry, outer)
    const inner = attribute && findMember(structOf(attribute.type), 'attr')
    const name = inner && findMember(structOf(inner.type), 'name')
    if (attribute !== undefined && inner !== undefined && name !== undefined)
      return attribute.offset + inner.offset + name.offset
  }
  return findMember(entry, 'name')?.offset
}

function elementOf(array: FoundMember): FoundMember | undefined {
  const type = stripped(array.type)
  return type?.kind === 'array' ? { ...array, type: type.element } : undefined
}

function structOf(type: Type): StructType {
  const plain = stripped(type)
  if (plain?.kind !== 'struct') throw new ExpressionError(`${type.name} is no structure`)
  return plain
}

function member(struct: StructType, name: string): FoundMember {
  const found = findMember(struct, name)
  if (found === undefined) throw new ExpressionError(`${struct.name} of this kernel has no member "${name}"`)
  return found
}
