/** XSAVE, XSAVEOPT, XSAVEC and XRSTOR leave areas and registers as the host does; CPUID tells where things are. */

import { afterAll, describe, expect, it } from 'vitest'
import { parseCpuModel } from '../../../src/engine/cpu-model.ts'
import { xsaveLeaf } from '../../../src/engine/system/cpuid-xsave.ts'
import { nativeUnavailable, runNative } from '../float/native.ts'
import { Guest, Host } from '../guest/guest.ts'
import { CODE, DATA, enterLongMode, VMCALL } from '../guest/long-mode.ts'
import { Random } from '../guest/random.ts'

const host = new Host({ model: parseCpuModel('max') })
const guest = new Guest(host, { exceptionBitmap: 0xffff_ffff })
afterAll(() => guest.release())

const STATE_BYTES = 832
const AREA_BYTES = 896
const [STATE, AREA, AFTER] = [DATA, DATA + 0x400, DATA + 0x800]
const HEADER = 512
const COMPACTED = 1n << 63n
/** x87, SSE and AVX in the order of XSTATE_BV: where their bytes lie, and what they begin with when at rest (FCW). */
const XSTATE_COMPONENTS = [
  {
    parts: [
      [0, 24],
      [32, 160],
    ],
    initial: [0x7f, 0x03],
  },
  { parts: [[160, 416]], initial: [] },
  { parts: [[576, 832]], initial: [] },
] as const
/** What the host may say in MXCSR_MASK and this processor does not: bit 17, misaligned SSE of AMD. */
const MXCSR_MASK_AT = 28

/** Opcode bytes with [RCX] as operand; the order is that of the native program. */
const OPERATIONS = [
  { name: 'XSAVE64', bytes: [0x48, 0x0f, 0xae, 0x21] },
  { name: 'XSAVEOPT64', bytes: [0x48, 0x0f, 0xae, 0x31] },
  { name: 'XSAVEC64', bytes: [0x48, 0x0f, 0xc7, 0x21] },
  { name: 'XRSTOR64', bytes: [0x48, 0x0f, 0xae, 0x29] },
  { name: 'XSAVE', bytes: [0x0f, 0xae, 0x21] },
  { name: 'XSAVEOPT', bytes: [0x0f, 0xae, 0x31] },
  { name: 'XSAVEC', bytes: [0x0f, 0xc7, 0x21] },
  { name: 'XRSTOR', bytes: [0x0f, 0xae, 0x29] },
]

interface Case {
  readonly operation: number
  readonly eax: number
  readonly edx: number
  readonly state: Uint8Array
  readonly area: Uint8Array
}

function randomBytes(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.below(256))
}

/** An area with all components, of which XSTATE_BV may name only some. */
function randomImage(random: Random, saved: number, format: bigint, bytes: number): Uint8Array {
  const image = randomBytes(random, bytes)
  const view = new DataView(image.buffer)
  view.setUint16(0, random.pick([0x37f, 0x27f, 0xf7f]), true)
  // Without pending exceptions, which the host would report at the next x87 instruction of its own.
  view.setUint16(2, random.word() & 0x7f00, true)
  // AMD's processors restore opcode and pointers only with an exception pending; ours, like Intel's, always.
  image.fill(0, 6, 24)
  view.setUint32(24, random.pick([0x1f80, 0x1f80, 0x9fc0, 0x3f]), true)
  view.setUint32(28, 0xffff, true)
  image.fill(0, HEADER, HEADER + 64)
  view.setBigUint64(HEADER, BigInt(saved), true)
  view.setBigUint64(HEADER + 8, format, true)
  return image
}

function randomCase(random: Random): Case {
  const operation = random.below(OPERATIONS.length)
  const state = randomImage(random, random.below(8), 0n, STATE_BYTES)
  const restores = operation % 4 === 3
  const common = {
    operation,
    eax: random.pick([7, 7, random.below(8), 0x18 | random.below(8)]),
    edx: random.word(),
    state,
  }
  if (!restores) return { ...common, area: randomBytes(random, AREA_BYTES) }
  const compacted = random.chance(0.5)
  const room = random.pick([7, random.below(8), random.chance(0.1) ? 0xf : 7])
  const saved = random.pick([room, random.below(8) & room, random.chance(0.2) ? random.below(16) : 0])
  const area = randomImage(random, saved, compacted ? COMPACTED | BigInt(room) : 0n, AREA_BYTES)
  // Now and then a bit where none may be: in the header, or in MXCSR.
  if (random.chance(0.15)) area[HEADER + random.below(64)] |= 1 << random.below(8)
  if (random.chance(0.1)) area[26] = 0x80
  return { ...common, area }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

const lineOf = ({ operation, eax, edx, state, area }: Case): string =>
  `${operation.toString(16)} ${eax.toString(16)} ${edx.toString(16)} ${hex(state)}${hex(area)}`

interface Outcome {
  readonly faulted: boolean
  readonly area: Uint8Array
  readonly after: Uint8Array
}

const withoutMask = (bytes: Uint8Array): Uint8Array =>
  Uint8Array.from(bytes, (byte, at) => (at >= MXCSR_MASK_AT && at < MXCSR_MASK_AT + 4 ? 0 : byte))

function native(line: string): Outcome {
  const [signal, area, after] = line.split(' ')
  return {
    faulted: signal !== '0',
    area: withoutMask(Buffer.from(area, 'hex')),
    after: withoutMask(Buffer.from(after, 'hex')),
  }
}

/** The same in a guest: the state loaded, the operation on the area, the state stored into zeros. */
function ours({ operation, eax, edx, state, area }: Case): Outcome {
  const { bytes } = OPERATIONS[operation]
  // mov eax, 7; xor edx, edx; xrstor64 [rsi]; mov eax, r8d; mov edx, r9d; OPERATION; mov eax, 7; xor edx, edx; xsave64 [rdi]
  const all = [0xb8, 7, 0, 0, 0, 0x31, 0xd2]
  const code = [
    ...all,
    0x48,
    0x0f,
    0xae,
    0x2e,
    0x44,
    0x89,
    0xc0,
    0x44,
    0x89,
    0xca,
    ...bytes,
    ...all,
    0x48,
    0x0f,
    0xae,
    0x27,
  ]
  guest.write(CODE, [...code, ...VMCALL])
  guest.write(STATE, state)
  guest.write(AREA, area)
  guest.write(AFTER, new Uint8Array(STATE_BYTES))
  guest.setRegisters({ rip: CODE, rsi: STATE, rcx: AREA, rdi: AFTER, r8: eax, r9: edx })
  const exit = guest.run(100)
  return {
    faulted: exit.reason === 'exception',
    area: withoutMask(guest.read(AREA, AREA_BYTES)),
    after: withoutMask(guest.read(AFTER, STATE_BYTES)),
  }
}

/**
 * The host's image where it calls a component in use that is in its initial configuration. A processor may do so (SDM
 * vol. 1, 13.6: XINUSE[i] may be 1 although component i is in it), and does when an interrupt of the host's saves and
 * restores the registers in between; our processor goes by the registers' values. Such a component counts as not in use.
 */
function withoutInitial(image: Uint8Array, ours: Uint8Array): Uint8Array {
  const settled = Uint8Array.from(image)
  XSTATE_COMPONENTS.forEach(({ parts, initial }, bit) => {
    if ((image[HEADER] & ~ours[HEADER] & (1 << bit)) === 0) return
    const first = parts[0][0]
    const atRest = parts.every(([start, end]) =>
      image.subarray(start, end).every((byte, i) => byte === (initial[start + i - first] ?? 0)),
    )
    if (!atRest) return
    settled[HEADER] &= ~(1 << bit)
    for (const [start, end] of parts) settled.set(ours.subarray(start, end), start)
  })
  return settled
}

/** Offsets that differ, for a message. */
function difference(a: Uint8Array, b: Uint8Array): string {
  const at = [...a.keys()].filter(i => a[i] !== b[i])
  return at.length === 0 ? 'alike' : `differ at ${at[0]} to ${at[at.length - 1]}: ${a[at[0]]} for ${b[at[0]]}`
}

/** CR4.OSXSAVE, and XCR0 with x87, SSE and AVX. */
function enableExtendedState(): void {
  enterLongMode(guest)
  guest.setRegisters({ cr4: guest.register('cr4') | (1n << 18n), xcr0: 7 })
}

describe('XSAVE areas', () => {
  it.skipIf(nativeUnavailable !== undefined)('and registers are as the host leaves them', () => {
    enableExtendedState()
    const random = new Random(13)
    const cases = Array.from({ length: 800 }, () => randomCase(random))
    const lines = runNative(new URL('xsave-native.c', import.meta.url), cases.map(lineOf))
    const failures: string[] = []
    let faults = 0
    cases.forEach((each, i) => {
      const got = ours(each)
      const onHost = native(lines[i])
      const expected = {
        faulted: onHost.faulted,
        area: withoutInitial(onHost.area, got.area),
        after: withoutInitial(onHost.after, got.after),
      }
      if (expected.faulted) faults++
      if (
        expected.faulted !== got.faulted ||
        hex(expected.area) !== hex(got.area) ||
        hex(expected.after) !== hex(got.after)
      )
        failures.push(
          `${OPERATIONS[each.operation].name} of ${each.eax.toString(16)}: ` +
            `${got.faulted ? '' : 'not '}faulted, host ${expected.faulted ? '' : 'not '}faulted; ` +
            `area: ${difference(got.area, expected.area)}; state: ${difference(got.after, expected.after)}`,
        )
    })
    expect(failures.slice(0, 5).join('\n')).toBe('')
    expect(faults).toBeGreaterThan(30)
  })
})

describe('what the host calls in use', () => {
  const rest = new Uint8Array(AREA_BYTES)
  const inUse = Uint8Array.from(rest)
  inUse[HEADER] = 1 << 1

  it('is passed over when it is in its initial configuration', () => {
    const untouched = Uint8Array.from(rest).fill(0xf6, 160, 416)
    expect(hex(withoutInitial(inUse, untouched))).toBe(hex(untouched))
  })

  it('counts when it holds something, and when ours calls it in use too', () => {
    const holding = Uint8Array.from(inUse)
    holding[415] = 1
    expect(hex(withoutInitial(holding, rest))).toBe(hex(holding))
    expect(hex(withoutInitial(inUse, inUse))).toBe(hex(inUse))
  })
})

describe('CPUID leaf Dh', () => {
  const max = parseCpuModel('max')

  it('tells sizes by what is enabled, and by what there is', () => {
    expect(xsaveLeaf(0, max, 1)).toEqual({ eax: 0x207, ebx: 576, ecx: 840, edx: 0 })
    expect(xsaveLeaf(0, max, 7)).toMatchObject({ ebx: 832 })
    expect(xsaveLeaf(0, max, 0x203)).toMatchObject({ ebx: 840 })
  })

  it('tells the size of compacted areas, and which instructions there are', () => {
    expect(xsaveLeaf(1, max, 7)).toEqual({ eax: 7, ebx: 832, ecx: 0, edx: 0 })
    expect(xsaveLeaf(1, max, 0x203)).toMatchObject({ ebx: 584 })
    expect(xsaveLeaf(1, parseCpuModel('max,-xsavec'), 7)).toMatchObject({ eax: 5, ebx: 0 })
  })

  it('tells where AVX and PKRU lie, and of nothing else', () => {
    expect(xsaveLeaf(2, max, 1)).toEqual({ eax: 256, ebx: 576, ecx: 0, edx: 0 })
    expect(xsaveLeaf(9, max, 1)).toEqual({ eax: 8, ebx: 832, ecx: 0, edx: 0 })
    for (const subleaf of [3, 8, 10, 31, 32, 63, 1000]) expect(xsaveLeaf(subleaf, max, 1).eax).toBe(0)
    expect(xsaveLeaf(9, parseCpuModel('max,-pku'), 1).eax).toBe(0)
    expect(xsaveLeaf(0, parseCpuModel('max,-xsave'), 1)).toEqual({ eax: 0, ebx: 0, ecx: 0, edx: 0 })
  })
})
