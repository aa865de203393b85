import type { WordSize } from '../../src/symbols/kallsyms.ts'

/** The symbol tables of a Linux kernel as `scripts/kallsyms.c` writes them, for functions given by the test. */

export interface KallsymsOptions {
  /** Address of the first symbol, `_text`. */
  readonly base: bigint
  /** Offsets and base stand behind the tokens, as from Linux 6.4 on. */
  readonly modern?: boolean
  /** CONFIG_KALLSYMS_ABSOLUTE_PERCPU: one absolute symbol, and offsets that count down. */
  readonly absolutePercpu?: boolean
  /** Of the kernel; 8 if absent. */
  readonly word?: WordSize
}

/** A kernel has more symbols than the reader's lower bound. */
const FILLERS = 600

export function kallsymsImage(functions: Readonly<Record<string, bigint>>, options: KallsymsOptions): Uint8Array {
  const { base, modern = false, word = 8, absolutePercpu = word === 8 } = options
  const symbols: { name: string; offset: bigint; absolute?: boolean }[] = [{ name: 'T_text', offset: 0n }]
  for (let i = 0; i < FILLERS; i++) symbols.push({ name: `tfiller_${i}`, offset: 0x10_0000n + BigInt(i * 16) })
  for (const [name, offset] of Object.entries(functions)) symbols.push({ name: `T${name}`, offset })
  if (absolutePercpu) symbols.push({ name: 'Apercpu_offset', offset: 0x4000n, absolute: true })

  const bytes: number[] = [...Buffer.from('some code of the kernel and its data')]
  const align = (): void => {
    while (bytes.length % word !== 0) bytes.push(0)
  }
  const u16 = (value: number): void => void bytes.push(value & 0xff, (value >> 8) & 0xff)
  const u32 = (value: number): void => {
    u16(value & 0xffff)
    u16(value >>> 16)
  }
  const addresses = (): void => {
    align()
    for (const { offset, absolute } of symbols) {
      if (!absolutePercpu || absolute) u32(Number(offset))
      else u32(Number(BigInt.asUintN(32, -1n - offset)))
    }
    align()
    u32(Number(base & 0xffff_ffffn))
    if (word === 8) u32(Number(base >> 32n))
  }

  align()
  if (!modern) addresses()
  u32(symbols.length)
  align()
  const names = bytes.length
  const markers: number[] = []
  symbols.forEach(({ name }, i) => {
    if (i % 256 === 0) markers.push(bytes.length - names)
    const encoded = [...Buffer.from(name.replaceAll('filler_', '\x80'), 'latin1')]
    if (encoded.length > 127) bytes.push((encoded.length & 0x7f) | 0x80, encoded.length >> 7)
    else bytes.push(encoded.length)
    bytes.push(...encoded)
  })
  align()
  for (const marker of markers) u32(marker)
  align()
  const tokens = bytes.length
  const index: number[] = []
  for (let token = 0; token < 256; token++) {
    index.push(bytes.length - tokens)
    bytes.push(...Buffer.from(token === 0x80 ? 'filler_' : String.fromCharCode(token || 1), 'latin1'), 0)
  }
  align()
  for (const offset of index) u16(offset)
  if (modern) addresses()
  return Uint8Array.from(bytes)
}
