/** A guest that makes one access to one page, whose way through the paging structures a rule describes. */

import { expect } from 'vitest'
import { parseCpuModel } from '../../src/engine/cpu-model.ts'
import type { Exit } from '../../src/engine/processor.ts'
import { Guest, Host } from '../engine/guest/guest.ts'
import {
  enablePaging,
  enterRing,
  isLong,
  type Mode,
  P,
  PageTables,
  type PagingOptions,
  RW,
  US,
} from '../engine/guest/page-tables.ts'

/** Linear addresses of the code for the supervisor and for the user; both are one frame. */
export const CODE = 0x10000
export const CODE_USER = 0x11000
const STACK_PAGE = 0x20000n
export const STACK_TOP = 0x20c00
export const FRAME = 0x30000n
export const OTHER_FRAME = 0x31000n
export const TABLES = 0x80000
export const ALL = P | RW | US

/** The page that is accessed, with an index at each level that is not 0. */
export const TARGETS: Readonly<Record<Mode, bigint>> = {
  '32-bit': 0x4060_3abcn,
  PAE: 0x4060_3abcn,
  '4-level': 0x0080_4060_3abcn,
  '5-level': 0x0035_0080_4060_3abcn,
}

export type Kind = 'read' | 'write' | 'fetch'
export const KINDS: readonly Kind[] = ['read', 'write', 'fetch']
/** mov eax, [rdi]; mov [rdi], eax; jmp rdi. */
export const INSTRUCTIONS: Readonly<Record<Kind, readonly number[]>> = {
  read: [0x8b, 0x07],
  write: [0x89, 0x07],
  fetch: [0xff, 0xe7],
}

export interface Situation extends PagingOptions {
  readonly mode: Mode
  /** Flags of the entry that maps the target. */
  readonly leaf: bigint
  /** Flags that entries above it have more or less, by how many levels above. */
  readonly above?: Readonly<Record<number, { readonly set?: bigint; readonly clear?: bigint }>>
  /** Access from CPL 3. */
  readonly user?: boolean
  /** RFLAGS.AC. */
  readonly alignmentCheck?: boolean
  readonly pkru?: number
}

/** Error code of an access of a kind: `code`, W/R for a write, I/D for a fetch where it is told. */
export const codeOf = (kind: Kind, code: number, tellsFetch = false): number =>
  code | (kind === 'write' ? 2 : 0) | (kind === 'fetch' && tellsFetch ? 16 : 0)

export class PagingGuest {
  readonly host: Host
  readonly guest: Guest

  constructor(model = 'max', cpus = 1) {
    this.host = new Host({ model: parseCpuModel(model) })
    this.guest = new Guest(this.host, { cpus, exceptionBitmap: 0xffff_ffff })
  }

  prepare(situation: Situation): PageTables {
    const { guest } = this
    const { mode } = situation
    const target = TARGETS[mode]
    const tables = new PageTables(guest, mode, TABLES)
    for (const frame of [FRAME, OTHER_FRAME]) guest.write(Number(frame), new Uint8Array(0x1000).fill(0x90))
    tables.map(BigInt(CODE), BigInt(CODE), P | RW)
    tables.map(BigInt(CODE_USER), BigInt(CODE), ALL)
    tables.map(STACK_PAGE, STACK_PAGE, ALL)
    tables.map(target, FRAME, situation.leaf)
    const path = tables.entries(target)
    for (const [levels, { set = 0n, clear = 0n }] of Object.entries(situation.above ?? {})) {
      const entry = path[path.length - 1 - Number(levels)]
      tables.set(entry, (tables.get(entry) & ~clear) | set)
    }
    enablePaging(guest.vcpu, tables, situation)
    guest.setRegisters({ rsp: STACK_TOP, pkru: situation.pkru ?? 0 })
    return tables
  }

  /** Makes one access to the target, or to another address. */
  access(situation: Situation, kind: Kind, linear = TARGETS[situation.mode]): Exit {
    const { guest } = this
    guest.write(CODE, [...INSTRUCTIONS[kind], 0x90, 0x90])
    enterRing(guest.vcpu, situation.mode, situation.user ? 3 : 0)
    guest.setRegisters({
      rip: situation.user ? CODE_USER : CODE,
      rdi: linear,
      rflags: situation.alignmentCheck ? 0x4_0002 : 2,
    })
    guest.clock.count = 0
    const exit = guest.run(kind === 'fetch' ? 2 : 1)
    if (exit.reason === 'budget' && kind === 'fetch') expect(guest.register('rip')).toBe(linear + 1n)
    return exit
  }

  /** The access faults with this error code and marks no entry. */
  faults(situation: Situation, kind: Kind, errorCode: number): void {
    const target = TARGETS[situation.mode]
    const tables = this.prepare(situation)
    const path = tables.entries(target)
    const before = path.map(entry => tables.get(entry))
    const what = `${situation.mode} ${kind}`
    const address = target
    expect(this.access(situation, kind), what).toEqual({ reason: 'exception', vector: 14, errorCode, address })
    expect(path.map(entry => tables.get(entry))).toEqual(before)
  }

  /** The access is made; the tables then. */
  allows(situation: Situation, kind: Kind): PageTables {
    const tables = this.prepare(situation)
    expect(this.access(situation, kind), `${situation.mode} ${kind}`).toEqual({ reason: 'budget' })
    return tables
  }

  /** Runs instructions at {@link CODE} in ring 0, or in ring 3. */
  execute(
    code: readonly number[],
    registers: Readonly<Record<string, bigint | number>> = {},
    { count = 1, user = false } = {},
  ): Exit {
    this.guest.write(CODE, [...code, ...new Array<number>(16).fill(0x90)])
    this.guest.setRegisters({ ...registers, rip: user ? CODE_USER : CODE })
    return this.guest.run(count)
  }
}

/** Modes whose entries have 64 bits. */
export const WIDE_MODES: readonly Mode[] = ['PAE', '4-level', '5-level']
export const LONG_MODES: readonly Mode[] = WIDE_MODES.filter(isLong)

/** #GP(0), or another fault without an address. */
export const fault = (vector: number, errorCode: number | undefined = 0) => ({ reason: 'exception', vector, errorCode })
export const GP = fault(13)
