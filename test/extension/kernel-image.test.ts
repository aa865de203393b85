import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { ENOUGH, kernelKind } from '../../src/extension/kernel-image.ts'

const TOUR = fileURLToPath(new URL('../../guests/prebuilt/tour.elf', import.meta.url))

function words(at: number, values: readonly number[], size = ENOUGH): Uint8Array {
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  for (const [i, value] of values.entries()) view.setUint32(at + i * 4, value, true)
  return bytes
}

test('the tour is a Multiboot kernel', () => {
  expect(kernelKind(readFileSync(TOUR))).toBe('Multiboot')
})

test('a Multiboot 2 header counts when its checksum is right', () => {
  const header = [0xe85250d6, 0, 16, 2 ** 32 - 0xe85250d6 - 16]
  expect(kernelKind(words(24, header))).toBe('Multiboot')
  expect(kernelKind(words(24, [...header.slice(0, 3), 1]))).toBeUndefined()
  expect(kernelKind(words(20, header))).toBeUndefined()
})

test('a Multiboot header behind the first 8 KiB is none', () => {
  const header = [0x1badb002, 0, 2 ** 32 - 0x1badb002]
  expect(kernelKind(words(8192 - 12, header))).toBe('Multiboot')
  expect(kernelKind(words(8192, header))).toBeUndefined()
})

test('a bzImage is a Linux kernel', () => {
  expect(kernelKind(words(0x202, [0x53726448], 1024))).toBe('Linux')
})

test.each([0, 1, 0x204, 600])('a file of %i zeros is no kernel', size => {
  expect(kernelKind(new Uint8Array(size))).toBeUndefined()
})
