import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findKernel } from '../linux/kernel.ts'
import { ringside } from '../support/ringside-command.ts'

const tour = fileURLToPath(new URL('../../guests/prebuilt/tour.elf', import.meta.url))
const kernel = findKernel()

const USAGE = 64
const UNBOOTABLE = 65
const UNREADABLE = 66

describe('what a person can get wrong is said in one line that names it', () => {
  let scratch: string

  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), 'ringside-bad-input-'))
  })
  afterAll(() => rmSync(scratch, { recursive: true }))

  function fileOf(name: string, content: Uint8Array | string): string {
    const path = join(scratch, name)
    writeFileSync(path, content)
    return path
  }

  async function expectRefusal(args: readonly string[], status: number, message: RegExp): Promise<void> {
    const result = await ringside(['run', ...args, '--timeout', '20'])
    expect(result.stderr).toMatch(message)
    expect(result.stderr).not.toMatch(/^\s+at /m)
    expect(result.stdout).toBe('')
    expect(result.status).toBe(status)
  }

  test('an image that is not there', () => expectRefusal([join(scratch, 'absent')], UNREADABLE, /absent/))

  test('a directory for an image', () => expectRefusal([scratch], UNREADABLE, /ringside-bad-input/))

  test('an empty image', () => expectRefusal([fileOf('empty', '')], UNBOOTABLE, /empty/))

  test('a text', () => expectRefusal([fileOf('text', 'not a kernel\n'.repeat(200))], UNBOOTABLE, /text/))

  test('an ELF file that ends in its program headers', () =>
    expectRefusal([fileOf('truncated.elf', readFileSync(tour).subarray(0, 100))], UNBOOTABLE, /truncated\.elf/))

  test('an ELF file for another processor', () => {
    const foreign = new Uint8Array(readFileSync(tour))
    foreign[18] = 40 // e_machine: ARM
    return expectRefusal([fileOf('foreign.elf', foreign)], UNBOOTABLE, /foreign\.elf/)
  })

  test('an image for UEFI only', () => {
    const image = new Uint8Array(8192)
    image.set([0x4d, 0x5a]) // MZ
    image[0x3c] = 0x80
    image.set([0x50, 0x45, 0, 0, 0x64, 0x86], 0x80) // PE for x86-64
    return expectRefusal([fileOf('uefi.efi', image)], UNBOOTABLE, /UEFI/)
  })

  test('an initial RAM disk larger than memory', () =>
    expectRefusal(
      [tour, '--memory', '16M', '--initrd', fileOf('large', new Uint8Array(20 << 20))],
      UNBOOTABLE,
      /initrd|module/,
    ))

  test('an initial RAM disk that is not there', () =>
    expectRefusal([tour, '--initrd', join(scratch, 'no-initrd')], UNREADABLE, /no-initrd/))

  test('more memory than there can be', () => expectRefusal([tour, '--memory', '64G'], USAGE, /64G|memory/i))

  test('memory that is no size', () => expectRefusal([tour, '--memory', 'much'], USAGE, /much/))

  test('no processors', () => expectRefusal([tour, '--cpus', '0'], USAGE, /cpus/))

  test('a snapshot that is none', () =>
    expectRefusal([tour, '--restore', fileOf('snapshot', 'nothing saved')], UNBOOTABLE, /snapshot/))

  test.skipIf(kernel === undefined)('a Linux image that ends early (needs npm run fetch-kernel)', () => {
    const image = kernel === undefined ? new Uint8Array() : readFileSync(kernel.image).subarray(0, 100_000)
    return expectRefusal([fileOf('short-bzImage', image)], UNBOOTABLE, /short-bzImage/)
  })
})
