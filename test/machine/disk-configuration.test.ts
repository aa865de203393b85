import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FileError } from '../../src/machine/configuration.ts'
import { ConfigurationError } from '../../src/machine/configuration-error.ts'
import { parseDisk } from '../../src/machine/disk-configuration.ts'
import { Disks } from '../../src/machine/disks.ts'

describe('--disk', () => {
  const plain = {
    ...{ kind: 'disk', path: 'a.img', readOnly: false, interface: 'virtio', backend: 'thread', queues: 1 },
    ...{ transport: 'pci', packed: false },
  }

  test.each([
    ['a.img', {}],
    ['a.img,readonly', { readOnly: true }],
    ['a.img,interface=ide,readonly', { interface: 'ide', readOnly: true }],
    [
      'a.img,backend=worker,queues=4,transport=mmio,packed=on',
      { backend: 'worker', queues: 4, transport: 'mmio', packed: true },
    ],
    ['a,,b=c.img,readonly', { path: 'a,b=c.img', readOnly: true }],
    ['a,,,readonly', { path: 'a,', readOnly: true }],
    ['/x y/a.img', { path: '/x y/a.img' }],
  ])('%s', (text, expected) => {
    expect(parseDisk(text)).toEqual({ ...plain, ...expected })
  })

  test.each([
    ['', '--disk: which file?'],
    [',readonly', '--disk: which file?'],
    ['a.img,writable', '--disk a.img: unknown option "writable"'],
    ['a.img,interface=scsi', 'interface=scsi is not one of virtio, ide'],
    ['a.img,backend=', 'backend= is not one of thread, worker'],
    ['a.img,queues=9', 'queues=9 is not a number from 1 to 8'],
    ['a.img,queues=0', 'queues=0 is not'],
    ['a.img,interface=ide,backend=worker', 'an IDE disk is served in the machine'],
    ['a.img,interface=ide,packed=on', 'queues, transport and packed are of virtio disks only'],
    ['a.img,readonly,readonly', '"readonly" comes twice'],
  ])('%s is refused', (text, message) => {
    expect(() => parseDisk(text)).toThrow(ConfigurationError)
    expect(() => parseDisk(text)).toThrow(message)
  })
})

describe('the disks of a machine', () => {
  let scratch: string
  const image = (name: string) => join(scratch, name)

  beforeEach(() => {
    scratch = mkdtempSync(join(tmpdir(), 'ringside-disks-'))
    for (let i = 0; i < 5; i++) writeFileSync(image(`${i}`), new Uint8Array(512))
  })
  afterEach(() => rmSync(scratch, { recursive: true }))

  test('are there for who asks, and given back when one of them fails', () => {
    const configurations = ['0', '1,interface=ide', '2,backend=worker'].map(text => parseDisk(image(text)))
    const disks = new Disks(configurations)
    expect([disks.ide.length, disks.workers.length]).toEqual([1, 1])
    expect(disks.backendOf(configurations[0]).name).toBe(image('0'))
    disks.close()
    const broken = [...configurations, parseDisk(image('none'))]
    expect(() => new Disks(broken)).toThrow(FileError)
    // Nothing is locked any more.
    new Disks(configurations).close()
  })

  test('are refused when one file comes twice, or there are more than IDE has room for', () => {
    expect(() => new Disks([parseDisk(image('0')), parseDisk(image('0'))])).toThrow(/is in use by this process/)
    new Disks([parseDisk(image('0,readonly')), parseDisk(image('0,readonly'))]).close()
    const five = [0, 1, 2, 3, 4].map(i => parseDisk(image(`${i},interface=ide`)))
    expect(() => new Disks(five)).toThrow('5 disks with interface=ide: there is room for 4')
  })

  test('tell of each failure once, and of so many only', () => {
    const shown: string[] = []
    const disks = new Disks([], message => shown.push(message))
    for (let i = 0; i < 3; i++) disks.warn('the host is full')
    expect(shown).toEqual(['the host is full'])
    for (let i = 0; i < 100; i++) disks.warn(`failure ${i}`)
    expect([shown.length, shown.at(-1)]).toEqual([21, 'further failures of disks are not shown'])
  })
})
