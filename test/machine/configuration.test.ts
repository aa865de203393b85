import { describe, expect, it } from 'vitest'
import {
  ConfigurationError,
  configure,
  FileError,
  identityOf,
  parseSize,
  readImage,
} from '../../src/machine/configuration.ts'

const image = { name: 'kernel', bytes: Uint8Array.of(1, 2, 3) }

describe('a machine configuration', () => {
  it('has defaults: 256 MiB, one processor, a fixed date', () => {
    const configuration = configure({ image })
    expect(configuration).toMatchObject({ memory: 256 * 2 ** 20, cpus: 1, cmdline: '', acpi: true })
    expect(configuration.startDate.toISOString()).toBe('2026-01-01T00:00:00.000Z')
  })

  it('refuses more memory than all guests can have', () => {
    expect(() => configure({ image, memory: 4 * 2 ** 30 })).toThrow(
      '4096 MiB of memory is more than there is: all guests together can have at most 3 GiB',
    )
    expect(configure({ image, memory: 3 * 2 ** 30 }).memory).toBe(3 * 2 ** 30)
  })

  it('refuses too little or uneven memory, and a number of processors that cannot be', () => {
    expect(() => configure({ image, memory: 4096 })).toThrow(ConfigurationError)
    expect(() => configure({ image, memory: 2 ** 24 + 1 })).toThrow(ConfigurationError)
    expect(() => configure({ image, cpus: 0 })).toThrow('0 processors: a machine has 1 to 8')
  })

  it('is identified by contents, not by file names', () => {
    const one = identityOf(configure({ image }))
    expect(identityOf(configure({ image: { ...image, name: 'other' } }))).toEqual(one)
    expect(identityOf(configure({ image: { ...image, bytes: Uint8Array.of(1) } }))).not.toEqual(one)
  })
})

describe('sizes', () => {
  it('have units', () => {
    expect(['256M', '1G', '640k', '4096', '16MiB'].map(text => parseSize(text, 'memory'))).toEqual([
      2 ** 28,
      2 ** 30,
      640 * 1024,
      4096,
      2 ** 24,
    ])
    expect(() => parseSize('1.5G', 'memory')).toThrow('memory "1.5G" is not a size: write it like 256M or 1G')
  })
})

describe('reading an image', () => {
  it('says which file can not be read and why', () => {
    expect(() => readImage('/nonexistent/kernel', 'image')).toThrow(
      'image "/nonexistent/kernel" can\'t be read: there is no such file',
    )
    expect(() => readImage('/', 'image')).toThrow(FileError)
    expect(() => readImage('/dev/zero', 'image')).toThrow('it is a device')
  })
})
