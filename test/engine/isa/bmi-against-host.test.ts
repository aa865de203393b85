/** General-purpose instructions beyond the baseline (BMI, ADX, MOVBE, LZCNT, CRC32, POPCNT) do what the host does, in both tiers. */

import { Code, Encoder, Instruction, OpKind, Register } from 'iced-x86'
import { afterAll, describe, expect, it } from 'vitest'
import { parseCpuModel } from '../../../src/engine/cpu-model.ts'
import { nativeUnavailable, runNative } from '../float/native.ts'
import { Guest, Host, TIERS } from '../guest/guest.ts'
import { CODE, DATA, enterLongMode, VMCALL } from '../guest/long-mode.ts'
import { Random } from '../guest/random.ts'

const CASES_A_FORM = 60
const MODEL = 'max'

const [CF, PF, AF, ZF, SF, OF] = [1, 4, 0x10, 0x40, 0x80, 0x800]
const STATUS = CF | PF | AF | ZF | SF | OF

/** Flags that the SDM leaves undefined, by instruction (vol. 2). */
const UNDEFINED: readonly (readonly [RegExp, number])[] = [
  [/^(Tzcnt|Lzcnt)_/, OF | SF | PF | AF],
  [/^VEX_(Andn|Blsi|Blsmsk|Blsr|Bzhi)_/, AF | PF],
  [/^VEX_Bextr_/, AF | SF | PF],
]

const NAMES =
  /^(Movbe|Tzcnt|Lzcnt|Popcnt|Bswap|Adcx|Adox|Crc32|VEX_(Andn|Bextr|Blsi|Blsmsk|Blsr|Bzhi|Mulx|Pdep|Pext|Rorx|Sarx|Shlx|Shrx))_/
const CODES: Readonly<Record<string, Code | string>> = Code

/** Registers of the operands, one list for each way in which they can coincide. */
const OPERANDS = [
  ['A', 'C', 'B'],
  ['A', 'A', 'C'],
  ['A', 'C', 'A'],
  ['C', 'A', 'A'],
  ['D', 'D', 'D'],
] as const

interface Form {
  readonly code: string
  readonly bytes: readonly number[]
}

function registerOf(letter: 'A' | 'B' | 'C' | 'D', bits: string): Register {
  const names: Readonly<Record<string, Register | string>> = Register
  const name = { 8: `${letter}L`, 16: `${letter}X`, 32: `E${letter}X`, 64: `R${letter}X` }[bits]
  const register = names[name ?? '']
  if (typeof register !== 'number') throw new Error(`no register of ${bits} bits`)
  return register
}

/** One way to write an instruction, or undefined where an operand can't be what is asked for. */
function encode(name: string, letters: (typeof OPERANDS)[number], memory: boolean): Form | undefined {
  const code = CODES[name]
  if (typeof code !== 'number') throw new Error(`no instruction ${name}`)
  const kinds = name.replace('VEX_', '').split('_').slice(1)
  const addressable = kinds.some(kind => /^r?m\d/.test(kind))
  if (memory ? !addressable : kinds.some(kind => /^m\d/.test(kind))) return undefined
  const instruction = new Instruction()
  instruction.code = code
  for (const [operand, kind] of kinds.entries()) {
    if (kind === 'imm8') {
      instruction.setOpKind(operand, OpKind.Immediate8)
      instruction.immediate8 = 13
    } else if (memory && /^r?m\d/.test(kind)) {
      instruction.setOpKind(operand, OpKind.Memory)
      instruction.memoryBase = Register.RDI
    } else {
      instruction.setOpKind(operand, OpKind.Register)
      instruction.setOpRegister(operand, registerOf(letters[operand], kind.replace(/\D/g, '')))
    }
  }
  const encoder = new Encoder(64)
  encoder.encode(instruction, 0n)
  const bytes = [...encoder.takeBuffer()]
  encoder.free()
  instruction.free()
  return { code: name, bytes }
}

function everyForm(): Form[] {
  const forms = Object.keys(CODES)
    .filter(name => NAMES.test(name))
    .flatMap(name => OPERANDS.flatMap(letters => [encode(name, letters, false), encode(name, letters, true)]))
  // Instructions with fewer operands come out alike more than once.
  const unique = new Map(forms.flatMap(form => (form === undefined ? [] : [[String(form.bytes), form] as const])))
  return [...unique.values()]
}

interface State {
  readonly registers: readonly bigint[]
  readonly flags: number
  readonly memory: bigint
}

const REGISTERS = ['rax', 'rcx', 'rdx', 'rbx'] as const

function randomState(random: Random): State {
  return {
    // Controls of BEXTR, BZHI and shifts are bytes: small ones now and then.
    registers: REGISTERS.map(() => (random.chance(0.3) ? BigInt(random.below(0x4848)) : random.operand())),
    flags: (random.word() & STATUS) | 2,
    memory: random.operand(),
  }
}

const quad = (value: bigint): string => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(value)
  return bytes.toString('hex')
}

const lineOf = ({ bytes }: Form, { registers, flags, memory }: State): string =>
  Buffer.from([...bytes, ...new Array<number>(16 - bytes.length).fill(0x90)]).toString('hex') +
  [...registers, BigInt(flags), memory, 0n, 0n].map(quad).join('')

function stateOf(line: string): State {
  const bytes = Buffer.from(line, 'hex')
  const words = Array.from({ length: 6 }, (_, i) => bytes.readBigUInt64LE(i * 8))
  return { registers: words.slice(0, 4), flags: Number(words[4]), memory: words[5] }
}

const undefinedFlags = (code: string): number => UNDEFINED.find(([pattern]) => pattern.test(code))?.[1] ?? 0

function describeState(state: State, code: string): string {
  const defined = state.flags & STATUS & ~undefinedFlags(code)
  const values = [...state.registers, state.memory].map(value => value.toString(16))
  return `rax ${values[0]} rcx ${values[1]} rdx ${values[2]} rbx ${values[3]} memory ${values[4]} flags ${defined.toString(16)}`
}

function runInGuest(guest: Guest, { registers, flags, memory }: State): State {
  REGISTERS.forEach((name, i) => {
    guest.vcpu.registers.set(name, registers[i])
  })
  guest.write64(DATA, memory)
  guest.setRegisters({ rdi: DATA, rip: CODE, rflags: flags })
  const exit = guest.run(100)
  if (exit.reason !== 'vmcall') throw new Error(`the guest ended with ${exit.reason}`)
  return {
    registers: REGISTERS.map(name => guest.register(name)),
    flags: Number(guest.register('rflags')),
    memory: guest.read64(DATA),
  }
}

describe.each(TIERS)('instructions of BMI, ADX, MOVBE, LZCNT and CRC32, $tier', ({ hotEntries }) => {
  const host = new Host({ hotEntries, model: parseCpuModel(MODEL) })
  const guest = new Guest(host, { exceptionBitmap: 0xffff_ffff })
  afterAll(() => guest.release())

  it.skipIf(nativeUnavailable !== undefined)('leave registers, memory and defined flags as the host does', () => {
    const random = new Random(31)
    const forms = everyForm()
    expect(forms.length).toBeGreaterThan(150)
    const cases = forms.flatMap(form =>
      Array.from({ length: CASES_A_FORM }, () => ({ form, state: randomState(random) })),
    )
    const native = runNative(
      new URL('general-native.c', import.meta.url),
      cases.map(({ form, state }) => lineOf(form, state)),
    )
    enterLongMode(guest)
    const failures: string[] = []
    let written: Form | undefined
    cases.forEach(({ form, state }, i) => {
      if (form !== written) guest.write(CODE, [...form.bytes, ...VMCALL])
      written = form
      const ours = describeState(runInGuest(guest, state), form.code)
      const theirs = describeState(stateOf(native[i]), form.code)
      if (ours !== theirs)
        failures.push(
          `${form.code} ${Buffer.from(form.bytes).toString('hex')}\nbefore ${describeState(state, '')}\n` +
            `expected ${theirs}\ngot ${ours}`,
        )
    })
    expect(failures.slice(0, 3).join('\n\n')).toBe('')
  })
})
