/** Devices on an 8-bit bus: the ISA bridge splits wider accesses into bytes at consecutive ports, lowest first. */

export type AccessSize = 1 | 2 | 4

export function readByBytes(port: number, size: AccessSize, readByte: (port: number) => number): number {
  let value = 0
  for (let i = 0; i < size; i++) value |= readByte(port + i) << (8 * i)
  return value >>> 0
}

export function writeByBytes(
  port: number,
  size: AccessSize,
  value: number,
  writeByte: (port: number, value: number) => void,
): void {
  for (let i = 0; i < size; i++) writeByte(port + i, (value >>> (8 * i)) & 0xff)
}
