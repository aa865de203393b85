/**
 * String instructions (SDM vol. 2: MOVS, STOS, LODS, CMPS, SCAS, and REP). A repeated one ends its block: every
 * iteration counts as an instruction, and one that meets the end of the budget, a fault or an exit leaves its registers
 * so that it goes on from there.
 */

import { RFLAGS_DF } from '../../x86/rflags.ts'
import * as S from '../state.ts'
import type { Local } from '../wasm/function-builder.ts'
import { i32, i64, select, type Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { apply, truncate, type Word } from './word.ts'

type Element = 8 | 16 | 32 | 64
type Repeat = 'Rep' | 'Repne' | ''
const [RAX, RCX, RSI, RDI] = [0, 1, 6, 7]

const ES = S.SEGMENTS

/** Mask of the address size, from the record's attributes; all ones in the 64-bit form. */
function addressMask(scope: InstructionScope): Value<'i64'> {
  if (scope.long) return i64(-1)
  const size = scope.f.let(scope.attributes().shrU(2).and(3))
  return scope.f.let(select(size.eqz(), i64(0xffff), select(size.eq(1), i64(0xffff_ffff), i64(-1))))
}

/** Writes a pointer or count in the address size: 16 bits keep the rest, 32 bits clear it, as for any register. */
function setMasked(scope: InstructionScope, index: number, value: Value<'i64'>): void {
  if (scope.long) {
    scope.setGpr(index, 64, value)
    return
  }
  const size = scope.f.let(scope.attributes().shrU(2).and(3))
  const named = scope.f.let(value)
  scope.f.if(
    size.eqz(),
    () => scope.setGpr(index, 16, named.wrap()),
    () =>
      scope.f.if(
        size.eq(1),
        () => scope.setGpr(index, 32, named.wrap()),
        () => scope.setGpr(index, 64, named),
      ),
  )
}

class StringLoop {
  readonly scope: InstructionScope
  readonly bits: Element
  readonly mask: Value<'i64'>
  /** Bytes from one element to the next, negative with DF. */
  readonly step: Value<'i64'>

  constructor(scope: InstructionScope, bits: Element) {
    this.scope = scope
    this.bits = bits
    this.mask = addressMask(scope)
    const down = scope.state32(S.FLAG_SYSTEM).and(RFLAGS_DF)
    this.step = scope.f.let(select(down, i64(-bits / 8), i64(bits / 8)))
  }

  pointer(index: number): Value<'i64'> {
    return this.scope.f.let(this.scope.gpr(index, 64).extendU().and(this.mask))
  }

  /** Linear address of the element at RSI, in DS or the overriding segment. */
  source(write = false): Value<'i64'> {
    const offset = this.pointer(RSI)
    return this.scope.long
      ? offset
      : this.scope.f.let(this.scope.linear(this.scope.segmentAddress(), offset, this.bits / 8, write))
  }

  /** Linear address of the element at RDI, always in ES. */
  destination(write: boolean): Value<'i64'> {
    const offset = this.pointer(RDI)
    return this.scope.long ? offset : this.scope.f.let(this.scope.linear(i32(ES), offset, this.bits / 8, write))
  }

  advance(index: number): void {
    setMasked(this.scope, index, this.scope.gpr(index, 64).extendU().add(this.step))
  }

  /** Runs `body` once, or as often as the count register says while `goOn` holds. */
  run(repeat: Repeat, body: () => void, goOn?: () => Value<'i32'>, bulk?: () => void): void {
    const { scope } = this
    const { f } = scope
    if (repeat === '') {
      body()
      return
    }
    f.block(done => {
      f.loop(next => {
        f.brIf(done, this.pointer(RCX).eqz())
        bulk?.()
        f.brIf(done, this.pointer(RCX).eqz())
        body()
        const left = f.let(this.scope.gpr(RCX, 64).extendU().sub(1).and(this.mask))
        setMasked(scope, RCX, left)
        f.brIf(done, left.eqz())
        if (goOn) f.brIf(done, goOn().eqz())
        this.spend(i32(1), next)
      })
    })
  }

  /** Takes iterations from the budget and goes on, or leaves with the instruction unfinished. */
  private spend(iterations: Value<'i32'>, next: { readonly depth: number }): void {
    const { scope } = this
    const budget = scope.f.let(scope.state32(S.BUDGET))
    scope.f.if(budget.geS(iterations), () => {
      scope.setState(S.BUDGET, budget.sub(iterations))
      scope.f.br(next)
    })
    scope.leaveHere()
  }

  /**
   * Elements that can be moved at once: as many as the count, the budget and each page that `pointers` are in allow,
   * when all of them hit the TLB and go upwards. At least one is left for the careful path, which faults and counts.
   */
  bulk(
    pointers: readonly { address: Value<'i64'>; table: number }[],
    move: (hosts: Value<'i32'>[], elements: Value<'i32'>) => void,
  ): void {
    const { scope, bits } = this
    const { f } = scope
    const slots = pointers.map(({ address }) => f.let(scope.tlbSlot(address)))
    let usable: Value<'i32'> = this.step.gtS(i64(0))
    pointers.forEach(({ address, table }, i) => {
      usable = usable.and(scope.tlbHit(table, bits, address, slots[i]))
    })
    f.if(usable, () => {
      const elements: Local<'i32'> = f.variable(scope.state32(S.BUDGET))
      const count = f.let(scope.gpr(RCX, 64).extendU().sub(1))
      f.if(count.ltU(elements.extendU()), () => f.set(elements, count.wrap()))
      for (const { address } of pointers) {
        const room = f.let(
          i32(4096)
            .sub(address.wrap().and(4095))
            .shrU(Math.log2(bits / 8)),
        )
        f.if(room.ltU(elements), () => f.set(elements, room))
      }
      f.if(elements.gtS(i32(1)), () => {
        const hosts = pointers.map(({ address, table }, i) =>
          f.let(address.wrap().add(f.load('i32', slots[i], table + 8))),
        )
        move(hosts, elements)
      })
    })
  }

  /** Accounts for elements moved at once. */
  moved(elements: Value<'i32'>, pointers: readonly number[]): void {
    const { scope } = this
    const wide = elements.extendU()
    for (const index of pointers)
      scope.setGpr(
        index,
        64,
        scope
          .gpr(index, 64)
          .extendU()
          .add(wide.shl(Math.log2(this.bits / 8))),
      )
    scope.setGpr(RCX, 64, scope.gpr(RCX, 64).extendU().sub(wide))
    scope.setState(S.BUDGET, scope.state32(S.BUDGET).sub(elements))
  }
}

function accumulator(scope: InstructionScope, bits: Element): Word {
  return scope.gpr(RAX, bits)
}

function moveString(scope: InstructionScope, bits: Element, repeat: Repeat): void {
  const string = new StringLoop(scope, bits)
  const { f } = scope
  const one = () => {
    const value = scope.load(bits, string.source())
    scope.store(bits, string.destination(true), value)
    string.advance(RSI)
    string.advance(RDI)
  }
  const bulk = () => {
    const from = string.pointer(RSI)
    const to = string.pointer(RDI)
    const pointers = [
      { address: from, table: scope.runtime.readTlb },
      { address: to, table: scope.runtime.writeTlb },
    ]
    string.bulk(pointers, (hosts, elements) => {
      const bytes = f.let(elements.shl(Math.log2(bits / 8)))
      // A destination inside the source's range repeats a pattern: that is for the careful path.
      f.if(hosts[1].sub(hosts[0]).geU(bytes), () => {
        f.copyMemory(hosts[1], hosts[0], bytes)
        string.moved(elements, [RSI, RDI])
      })
    })
  }
  string.run(repeat, one, undefined, scope.long ? bulk : undefined)
}

function storeString(scope: InstructionScope, bits: Element, repeat: Repeat): void {
  const string = new StringLoop(scope, bits)
  const { f } = scope
  const one = () => {
    scope.store(bits, string.destination(true), accumulator(scope, bits))
    string.advance(RDI)
  }
  const bulk = () => {
    const to = string.pointer(RDI)
    string.bulk([{ address: to, table: scope.runtime.writeTlb }], (hosts, elements) => {
      const value = accumulator(scope, bits)
      const at = f.variable(hosts[0])
      const end = f.let(hosts[0].add(elements.shl(Math.log2(bits / 8))))
      f.loop(next => {
        f.store(at, value, 0, bits / 8)
        f.set(at, at.add(bits / 8))
        f.brIf(next, at.ltU(end))
      })
      string.moved(elements, [RDI])
    })
  }
  string.run(repeat, one, undefined, scope.long ? bulk : undefined)
}

function loadString(scope: InstructionScope, bits: Element, repeat: Repeat): void {
  const string = new StringLoop(scope, bits)
  string.run(repeat, () => {
    const value = scope.load(bits, string.source())
    scope.setGpr(RAX, bits, value)
    string.advance(RSI)
  })
}

function compare(scope: InstructionScope, bits: Element, a: Word, b: Word): void {
  scope.flagsSub(bits, a, b, scope.name(truncate(apply('sub', a, b), bits)))
  scope.recent = undefined
}

function compareString(scope: InstructionScope, bits: Element, repeat: Repeat): void {
  const string = new StringLoop(scope, bits)
  const one = () => {
    const a = scope.load(bits, string.source())
    const b = scope.load(bits, string.destination(false))
    compare(scope, bits, a, b)
    string.advance(RSI)
    string.advance(RDI)
  }
  string.run(repeat, one, () => scope.condition(repeat === 'Repne' ? 'ne' : 'e'))
}

function scanString(scope: InstructionScope, bits: Element, repeat: Repeat): void {
  const string = new StringLoop(scope, bits)
  const one = () => {
    const b = scope.load(bits, string.destination(false))
    compare(scope, bits, accumulator(scope, bits), b)
    string.advance(RDI)
  }
  string.run(repeat, one, () => scope.condition(repeat === 'Repne' ? 'ne' : 'e'))
}

const ELEMENTS = [
  ['b', 8, 'AL'],
  ['w', 16, 'AX'],
  ['d', 32, 'EAX'],
  ['q', 64, 'RAX'],
] as const

type Emit = (scope: InstructionScope, bits: Element, repeat: Repeat) => void

export function defineString(table: DefinitionTable): void {
  for (const [letter, bits, register] of ELEMENTS) {
    const forms: readonly (readonly [string, Emit])[] = [
      [`Movs${letter}_m${bits}_m${bits}`, moveString],
      [`Stos${letter}_m${bits}_${register}`, storeString],
      [`Lods${letter}_${register}_m${bits}`, loadString],
      [`Cmps${letter}_m${bits}_m${bits}`, compareString],
      [`Scas${letter}_${register}_m${bits}`, scanString],
    ]
    // The decoder asks for `Rep.` or `Repne.` before the code's name when the prefix is there.
    for (const [code, emit] of forms)
      for (const repeat of ['', 'Rep', 'Repne'] as const)
        table.define(repeat === '' ? code : `${repeat}.${code}`, {
          name: `${repeat}${code}`,
          bits: [],
          implicit: true,
          ...(repeat === '' ? {} : { ends: 'maybe' as const }),
          emit: scope => emit(scope, bits, repeat),
        })
  }
}
