/** Functions that handlers share: imports from TypeScript, and address and stack arithmetic outside 64-bit mode. */

import * as R from '../decoder/record.ts'
import { RecordScope } from '../isa/record-scope.ts'
import { type Runtime, TLB_ADDRESSES } from '../isa/runtime.ts'
import { addVectorFunctions, importVectorFunctions } from '../isa/vector-functions.ts'
import type { Bits } from '../isa/word.ts'
import * as S from '../state.ts'
import type { FunctionBuilder } from '../wasm/function-builder.ts'
import type { ModuleBuilder } from '../wasm/module-builder.ts'
import { i32, i64, select, type Value } from '../wasm/value.ts'

const RSP = S.GPR + 4 * 8
const RBP = S.GPR + 5 * 8
const SS = S.SEGMENTS + 2 * S.SEGMENT_STRIDE
const FS = S.SEGMENTS + 4 * S.SEGMENT_STRIDE
const LOW_32 = 0xffff_ffff

/** Rights that make a limit check enough: a present, usable, expand-up, writable data segment. */
const PLAIN_MASK = (1 << 16) | (1 << 7) | (1 << 4) | (1 << 3) | (1 << 2) | (1 << 1)
const PLAIN = (1 << 7) | (1 << 4) | (1 << 1)
const DEFAULT_BIG = 1 << 14

/** Signatures of what TypeScript provides. */
function importFromTypeScript(module: ModuleBuilder) {
  return {
    slowRead: module.import('slowRead', ['i32', 'i32', 'i32', 'i32'], 'i32'),
    slowWrite: module.import('slowWrite', ['i32', 'i32', 'i32', 'i32'], 'i32'),
    commit: module.import('commit', ['i32'], 'void'),
    raise: module.import('raise', ['i32', 'i32'], 'void'),
    assist: module.import('assist', ['i32'], 'void'),
    divideWide: module.import('divideWide', ['i32', 'i32'], 'void'),
    sseSlow: module.import('sseSlow', ['i32', 'i32'], 'void'),
    compareStrings: module.import('compareStrings', ['i32', 'i32', 'i32'], 'i32'),
    undefinedInstruction: module.import('undefinedInstruction', ['i32'], 'void'),
  }
}

/** An access through a segment, whose cache is at the address `segment`. */
const SEGMENTED_ACCESS = ['i32', 'i32', 'i64', 'i32', 'i32'] as const

/** The parameters of a function with {@link SEGMENTED_ACCESS}. */
const segmentedAccess = (f: FunctionBuilder) => ({
  record: f.parameter(0, 'i32'),
  segment: f.parameter(1, 'i32'),
  offset: f.parameter(2, 'i64'),
  bytes: f.parameter(3, 'i32'),
  write: f.parameter(4, 'i32'),
})

/** The same functions for a module of compiled blocks: what the interpreter defines is imported from it. */
export function importRuntimeFunctions(module: ModuleBuilder): Runtime {
  return {
    ...TLB_ADDRESSES,
    ...importFromTypeScript(module),
    linear: module.import('linear', SEGMENTED_ACCESS, 'i64'),
    stackTop: module.import('stackTop', ['i32', 'i32'], 'i64'),
    frameTop: module.import('frameTop', ['i32', 'i32'], 'i64'),
    push: module.import('push', ['i64', 'i32', 'i32'], 'void'),
    stackAdjust: module.import('stackAdjust', ['i64'], 'void'),
    stackFromFrame: module.import('stackFromFrame', [], 'void'),
    vector: importVectorFunctions(module),
  }
}

/** Declares imports and shared functions in `module`; the latter are exported for compiled blocks. */
export function addRuntimeFunctions(module: ModuleBuilder): Runtime {
  const imported = importFromTypeScript(module)
  const segmentSlow = module.import('segmentSlow', ['i32', 'i32', 'i32', 'i32', 'i32'], 'void')

  const checked = module.declare(SEGMENTED_ACCESS, 'i64')
  const linear = module.declare(SEGMENTED_ACCESS, 'i64', 'linear')
  const stackTop = module.declare(['i32', 'i32'], 'i64', 'stackTop')
  const frameTop = module.declare(['i32', 'i32'], 'i64', 'frameTop')
  const push = module.declare(['i64', 'i32', 'i32'], 'void', 'push')
  const stackAdjust = module.declare(['i64'], 'void', 'stackAdjust')
  const stackFromFrame = module.declare([], 'void', 'stackFromFrame')

  const runtime: Runtime = {
    ...TLB_ADDRESSES,
    ...imported,
    linear: linear.reference,
    stackTop: stackTop.reference,
    frameTop: frameTop.reference,
    push: push.reference,
    stackAdjust: stackAdjust.reference,
    stackFromFrame: stackFromFrame.reference,
    vector: addVectorFunctions(module),
  }

  {
    // Limit and rights (SDM vol. 3, 5.3, 5.5); what is not plainly right is for TypeScript to judge.
    const f = checked.builder
    const { record, segment, offset, bytes, write } = segmentedAccess(f)
    const plain = f.load('i32', segment, S.SEGMENT_RIGHTS).and(PLAIN_MASK).eq(PLAIN)
    const last = offset.add(bytes.sub(1).extendU())
    const within = last.leU(f.load('i32', segment, S.SEGMENT_LIMIT).extendU())
    f.if(plain.and(within).eqz(), () => f.call(segmentSlow, record, segment, offset.wrap(), bytes, write))
    f.return(f.load('i64', segment, S.SEGMENT_BASE).add(offset).and(LOW_32))
    f.unreachable()
  }
  {
    const f = linear.builder
    const { record, segment, offset, bytes, write } = segmentedAccess(f)
    const kind = f.let(f.load('i32', record, R.ADDRESS_KIND, 1))
    const { AddressKind } = R
    // In 64-bit mode only FS and GS have a base (SDM vol. 1, 3.4.2.1).
    const base = () => select(segment.geU(i32(FS)), f.load('i64', segment, S.SEGMENT_BASE), i64(0))
    f.if(kind.eq(AddressKind.plain64), () => f.return(offset))
    f.if(kind.eq(AddressKind.based64), () => f.return(offset.add(base())))
    f.if(kind.eq(AddressKind.narrow64), () => f.return(offset.and(LOW_32).add(base())))
    f.if(kind.eq(AddressKind.flat32), () => f.return(offset.and(LOW_32)))
    f.if(kind.eq(AddressKind.flat16), () => f.return(offset.and(0xffff)))
    const mask = select(kind.eq(AddressKind.checked16), i64(0xffff), i64(LOW_32))
    f.return(f.callValue(checked.reference, record, segment, offset.and(mask), bytes, write))
    f.unreachable()
  }

  const scopeOf = (f: FunctionBuilder, record: Value<'i32'>) =>
    new RecordScope(
      { f, runtime, bits: [], shape: '', long: false, continuation: { lookUp: () => {}, leave: () => {} } },
      record,
    )
  const stackMask = (f: FunctionBuilder) =>
    select(f.load('i32', i32(SS), S.SEGMENT_RIGHTS).and(DEFAULT_BIG), i64(LOW_32), i64(0xffff))
  /** Writes a stack pointer in the width of the stack. */
  const setPointer = (f: FunctionBuilder, register: number, value: Value<'i64'>) => {
    const named = f.let(value)
    f.if(
      f.load('i32', i32(SS), S.SEGMENT_RIGHTS).and(DEFAULT_BIG),
      () => f.store(i32(register), named.and(LOW_32)),
      () => f.store(i32(register), named, 0, 2),
    )
  }
  const bySize = (f: FunctionBuilder, bytes: Value<'i32'>, each: (bits: Bits) => void) =>
    f.if(
      bytes.eq(2),
      () => each(16),
      () =>
        f.if(
          bytes.eq(4),
          () => each(32),
          () => each(64),
        ),
    )

  for (const [target, register] of [
    [stackTop, RSP],
    [frameTop, RBP],
  ] as const) {
    const f = target.builder
    const [bytes, record] = [f.parameter(0, 'i32'), f.parameter(1, 'i32')]
    const offset = f.let(f.load('i64', i32(register)).and(stackMask(f)))
    const address = f.let(f.callValue(checked.reference, record, i32(SS), offset, bytes, i32(0)))
    bySize(f, bytes, bits => f.return(scopeOf(f, record).load(bits, address).extendU()))
    f.unreachable()
  }
  {
    const f = push.builder
    const [value, bytes, record] = [f.parameter(0, 'i64'), f.parameter(1, 'i32'), f.parameter(2, 'i32')]
    const offset = f.let(f.load('i64', i32(RSP)).sub(bytes.extendU()).and(stackMask(f)))
    const address = f.let(f.callValue(checked.reference, record, i32(SS), offset, bytes, i32(1)))
    bySize(f, bytes, bits => scopeOf(f, record).store(bits, address, bits === 64 ? value : value.wrap()))
    setPointer(f, RSP, offset)
  }
  {
    const f = stackAdjust.builder
    setPointer(f, RSP, f.load('i64', i32(RSP)).add(f.parameter(0, 'i64')))
  }
  setPointer(stackFromFrame.builder, RSP, stackFromFrame.builder.load('i64', i32(RBP)))
  return runtime
}
