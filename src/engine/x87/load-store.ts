/** FLD, FST, FILD, FIST, FISTTP, FBLD, FBSTP, the constants, FXCH, FFREE. */

import type { Assist } from '../assist.ts'
import { CONSTANT_BITS, LG2, LN2, LOG2_10, LOG2_E, PI } from '../float/constants.ts'
import { convert, toInteger } from '../float/convert.ts'
import { type FloatEnvironment, Rounding } from '../float/environment.ts'
import {
  BINARY32,
  BINARY64,
  DEFAULT_NAN,
  EXTENDED,
  type Float80,
  finite,
  pack32,
  pack64,
  pack80,
  type Unpacked,
  zero,
} from '../float/format.ts'
import { round } from '../float/round.ts'
import type { LinearMemory } from '../linear-memory.ts'
import { bcdIndefinite, decodeBcd, encodeBcd, fromBcd, toBcd } from './bcd.ts'
import {
  integerOperand,
  loadForm,
  readFloat32,
  readFloat64,
  readInteger16,
  readInteger32,
  readInteger64,
  registerForm,
  storeForm,
} from './forms.ts'
import { BLOCKS_LOAD, BLOCKS_MEMORY, type Fpu } from './fpu.ts'

/** Bytes: SDM vol. 3, table 6-7. */
const FLOAT80_ALIGNMENT = 8

/** Pushes a binary32 or binary64 operand, widened; also one whose denormal exception is unmasked. */
function loadWidened(fpu: Fpu, source: Unpacked): void {
  if (!fpu.hasRoom()) return
  const env = fpu.fullEnvironment()
  const value = convert(EXTENDED, env, source)
  if (!fpu.settle(env, BLOCKS_LOAD)) return
  fpu.push(value)
}

/** Pushes what needs no conversion and raises nothing. */
function loadExact(fpu: Fpu, value: Float80): void {
  if (!fpu.hasRoom()) return
  fpu.clearC1()
  fpu.pushRaw(value)
}

const loadInteger = (fpu: Fpu, source: Unpacked): void => loadExact(fpu, pack80(source))

const readFloat80 = (memory: LinearMemory, address: bigint): Float80 => {
  const bytes = memory.readBytes(address, 10, false, FLOAT80_ALIGNMENT)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return { low: view.getBigUint64(0, true), high: view.getUint16(8, true) }
}

function bytesOfFloat80({ low, high }: Float80): Uint8Array {
  const bytes = new Uint8Array(10)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(0, low, true)
  view.setUint16(8, high, true)
  return bytes
}

/** FLD ST(i): a copy of a register. An empty one counts before a full stack. */
const loadRegister = registerForm((fpu, { register0 }) => {
  if (!fpu.isEmpty(register0)) loadExact(fpu, fpu.raw(register0))
  else if (fpu.stackFault(false)) fpu.push(DEFAULT_NAN)
})

/**
 * A store that rounds: `encode` makes the bits of ST(0), or of the indefinite value when that is empty, and returns
 * how to write them.
 */
function store(
  size: number,
  pops: boolean,
  encode: (env: FloatEnvironment, value: Unpacked) => (memory: LinearMemory, address: bigint) => void,
): Assist {
  return storeForm(size, (fpu, memory, address) => {
    const env = fpu.fullEnvironment()
    const value = fpu.st(0)
    const write = encode(env, value ?? DEFAULT_NAN)
    if (!(value === undefined ? fpu.stackFault(false) : fpu.settle(env, BLOCKS_MEMORY))) return
    write(memory, address)
    if (pops) fpu.pop()
  })
}

const storeFloat32 = (pops: boolean): Assist =>
  store(4, pops, (env, value) => {
    const bits = pack32(convertStored(BINARY32, env, value))
    return (memory, address) => memory.write32(address, bits)
  })

const storeFloat64 = (pops: boolean): Assist =>
  store(8, pops, (env, value) => {
    const bits = pack64(convertStored(BINARY64, env, value))
    return (memory, address) => memory.write64(address, bits)
  })

/** A store raises no denormal exception (SDM vol. 2, FST): the operand's own format can be wider in range. */
function convertStored(format: typeof BINARY32, env: FloatEnvironment, value: Unpacked): Unpacked {
  const source = value.kind === 'denormal' ? finite(value.negative, value.significand, value.exponent) : value
  return convert(format, env, source)
}

/** FIST and FISTP, or FISTTP with `truncates`. */
function storeInteger(bits: 16 | 32 | 64, pops: boolean, truncates = false): Assist {
  return store(bits / 8, pops, (env, value) => {
    const integer = toInteger(env, value, bits, truncates ? Rounding.ZERO : env.rounding)
    return (memory, address) => {
      if (bits === 16) memory.write16(address, Number(integer & 0xffffn))
      else if (bits === 32) memory.write32(address, Number(integer & 0xffff_ffffn))
      else memory.write64(address, BigInt.asUintN(64, integer))
    }
  })
}

const storeBcd = store(10, true, (env, value) => {
  const integer = toBcd(env, value)
  const bytes = integer === undefined ? bcdIndefinite() : encodeBcd(integer)
  return (memory, address) => memory.writeBytes(address, bytes, false, FLOAT80_ALIGNMENT)
})

/** FSTP m80: any encoding, unchanged. */
const storeFloat80 = storeForm(10, (fpu, memory, address) => {
  if (fpu.isEmpty(0)) {
    if (!fpu.stackFault(false)) return
    memory.writeBytes(address, bytesOfFloat80(pack80(DEFAULT_NAN)), false, FLOAT80_ALIGNMENT)
  } else {
    memory.writeBytes(address, bytesOfFloat80(fpu.raw(0)), false, FLOAT80_ALIGNMENT)
    fpu.clearC1()
  }
  fpu.pop()
})

function storeRegister(pops: boolean): Assist {
  return registerForm((fpu, { register0 }) => {
    if (fpu.isEmpty(0)) {
      if (!fpu.underflow(register0)) return
    } else {
      fpu.clearC1()
      fpu.setRaw(register0, fpu.raw(0))
    }
    if (pops) fpu.pop()
  })
}

/** FSTPNCE, an undocumented FSTP ST(i) that raises nothing: with an empty ST(0) it only pops. */
const storeUnchecked = registerForm((fpu, { register0 }) => {
  fpu.clearC1()
  if (!fpu.isEmpty(0)) fpu.setRaw(register0, fpu.raw(0))
  fpu.pop()
})

/** FFREE and FFREEP, without a look at what is in the register. */
function freeRegister(pops: boolean): Assist {
  return registerForm((fpu, { register0 }) => {
    fpu.clearC1()
    fpu.free(register0)
    if (pops) fpu.pop()
  })
}

/** FXCH; an empty side is first filled with the default NaN. */
const exchange = (operand: 'register0' | 'register1'): Assist =>
  registerForm((fpu, instruction) => {
    const other = instruction[operand]
    if (fpu.isEmpty(0) || fpu.isEmpty(other)) {
      if (!fpu.stackFault(false)) return
      if (fpu.isEmpty(0)) fpu.setSt(0, DEFAULT_NAN)
      if (fpu.isEmpty(other)) fpu.setSt(other, DEFAULT_NAN)
    } else {
      fpu.clearC1()
    }
    const value = fpu.raw(0)
    fpu.setRaw(0, fpu.raw(other))
    fpu.setRaw(other, value)
  })

/** A constant, rounded as RC says but always to 64 bits, and without exceptions. SDM vol. 1, 8.3.4. */
function constant(significand: bigint): Assist {
  return registerForm(fpu => {
    if (!fpu.hasRoom()) return
    const value = round(EXTENDED, fpu.fullEnvironment(), false, significand, -CONSTANT_BITS)
    fpu.clearC1()
    fpu.push(value)
  })
}

const storeAndPop = storeRegister(true)

export const loadStoreAssists: Readonly<Record<string, Assist>> = {
  Fld_m32fp: loadForm(readFloat32, loadWidened),
  Fld_m64fp: loadForm(readFloat64, loadWidened),
  Fld_m80fp: loadForm(readFloat80, loadExact),
  Fld_sti: loadRegister,
  Fild_m16int: loadForm(readInteger16, loadInteger),
  Fild_m32int: loadForm(readInteger32, loadInteger),
  Fild_m64int: loadForm(readInteger64, loadInteger),
  Fbld_m80bcd: loadForm(
    (memory, address) => fromBcd(decodeBcd(memory.readBytes(address, 10, false, FLOAT80_ALIGNMENT))),
    loadExact,
  ),
  Fst_m32fp: storeFloat32(false),
  Fstp_m32fp: storeFloat32(true),
  Fst_m64fp: storeFloat64(false),
  Fstp_m64fp: storeFloat64(true),
  Fstp_m80fp: storeFloat80,
  Fst_sti: storeRegister(false),
  Fstp_sti: storeAndPop,
  Fstp_sti_DFD0: storeAndPop,
  Fstp_sti_DFD8: storeAndPop,
  Fstpnce_sti: storeUnchecked,
  Fist_m16int: storeInteger(16, false),
  Fist_m32int: storeInteger(32, false),
  Fistp_m16int: storeInteger(16, true),
  Fistp_m32int: storeInteger(32, true),
  Fistp_m64int: storeInteger(64, true),
  Fisttp_m16int: storeInteger(16, true, true),
  Fisttp_m32int: storeInteger(32, true, true),
  Fisttp_m64int: storeInteger(64, true, true),
  Fbstp_m80bcd: storeBcd,
  Fld1: registerForm(fpu => loadExact(fpu, pack80(integerOperand(1n)))),
  Fldz: registerForm(fpu => loadExact(fpu, pack80(zero(false)))),
  Fldpi: constant(PI),
  Fldl2t: constant(LOG2_10),
  Fldl2e: constant(LOG2_E),
  Fldlg2: constant(LG2),
  Fldln2: constant(LN2),
  Fxch_st0_sti: exchange('register1'),
  Fxch_st0_sti_DDC8: exchange('register1'),
  Fxch_st0_sti_DFC8: exchange('register1'),
  Ffree_sti: freeRegister(false),
  Ffreep_sti: freeRegister(true),
}
