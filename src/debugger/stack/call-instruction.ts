/** CALL instructions that end at an address: what must stand before a return address of 16-bit code. */

import { Code, Decoder, DecoderOptions } from 'iced-x86'

export interface CallInstruction {
  /** Pushes CS too. */
  readonly far: boolean
  /** Bytes of each word that it pushes. */
  readonly size: 2 | 4 | 8
  /** PUSH CS stands before it: so a far function of the same segment is called. */
  readonly afterPushCs: boolean
}

/** Bytes before an address that matter: PUSH CS, and a CALL with two prefixes and a displacement of 32 bits. */
export const CALL_ROOM = 10

/** SDM vol. 2, CALL. */
const CALLS: ReadonlyMap<Code, Omit<CallInstruction, 'afterPushCs'>> = new Map([
  [Code.Call_rel16, { far: false, size: 2 }],
  [Code.Call_rel32_32, { far: false, size: 4 }],
  [Code.Call_rel32_64, { far: false, size: 8 }],
  [Code.Call_rm16, { far: false, size: 2 }],
  [Code.Call_rm32, { far: false, size: 4 }],
  [Code.Call_rm64, { far: false, size: 8 }],
  [Code.Call_ptr1616, { far: true, size: 2 }],
  [Code.Call_ptr1632, { far: true, size: 4 }],
  [Code.Call_m1616, { far: true, size: 2 }],
  [Code.Call_m1632, { far: true, size: 4 }],
  [Code.Call_m1664, { far: true, size: 8 }],
])

const SHORTEST = 2
const PUSH_CS = 0x0e
/** Prefixes of segments, operand size and address size (SDM vol. 2, 2.1.1). */
const PREFIXES: ReadonlySet<number> = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67])
const CALL_NEAR = 0xe8
const CALL_FAR = 0x9a
const INDIRECT = 0xff

/** @param bytes what stands before the address, at most {@link CALL_ROOM} of it. */
export function callsAtEndOf(bytes: Uint8Array, bits: 16 | 32 | 64): CallInstruction[] {
  const calls: CallInstruction[] = []
  for (let start = bytes.length - SHORTEST; start >= 0; start--) {
    if (!mayCall(bytes, start)) continue
    const code = wholeInstruction(bytes.subarray(start), bits)
    const call = code === undefined ? undefined : CALLS.get(code)
    if (call !== undefined) calls.push({ ...call, afterPushCs: start > 0 && bytes[start - 1] === PUSH_CS })
  }
  return calls
}

/** Told by one byte or two, which takes a hundredth of the time to decode them. */
function mayCall(bytes: Uint8Array, start: number): boolean {
  const first = bytes[start]
  if (first !== INDIRECT) return first === CALL_NEAR || first === CALL_FAR || PREFIXES.has(first)
  const operation = (bytes[start + 1] >> 3) & 7
  return operation === 2 || operation === 3
}

/** The one instruction that is all of the bytes. */
function wholeInstruction(bytes: Uint8Array, bits: 16 | 32 | 64): Code | undefined {
  const decoder = new Decoder(bits, bytes, DecoderOptions.None)
  const instruction = decoder.decode()
  const code = instruction.length === bytes.length ? instruction.code : undefined
  instruction.free()
  decoder.free()
  return code
}
