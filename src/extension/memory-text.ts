/** Memory and code as text, for those who have no editor for memory. */

/** Rows of 16 bytes, `0x1000  48 65 6c ...  Hel...`. @param start address of the first byte, absent for offsets */
export function hexDump(bytes: Uint8Array, start: bigint): string {
  const rows: string[] = []
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16)
    const numbers = Array.from(row, byte => byte.toString(16).padStart(2, '0'))
    const text = Array.from(row, byte => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('')
    const left = numbers.slice(0, 8).join(' ').padEnd(23)
    const right = numbers.slice(8).join(' ').padEnd(23)
    const address = BigInt.asUintN(64, start + BigInt(at))
      .toString(16)
      .padStart(16, '0')
    rows.push(`${address}  ${left}  ${right}  ${text}`)
  }
  return `${rows.join('\n')}\n`
}

/** The number in a `memoryReference`: behind the address space. */
export function addressIn(reference: string): bigint {
  const [number = ''] = /(?:0x[0-9a-f]+|[0-9]+)$/i.exec(reference) ?? []
  return number === '' ? 0n : BigInt(number)
}

export interface InstructionText {
  readonly address: string
  readonly instructionBytes?: string
  readonly instruction: string
  readonly symbol?: string
}

export function listing(instructions: readonly InstructionText[]): string {
  const rows = instructions.flatMap(({ address, instructionBytes = '', instruction, symbol }) => [
    ...(symbol === undefined ? [] : [`${symbol}:`]),
    `  ${address.padEnd(20)}${instructionBytes.padEnd(32)}${instruction}`,
  ])
  return `${rows.join('\n')}\n`
}
