import { spawnSync } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Disk, DiskError } from '../../../src/backends/disk/disk.ts'
import { execute } from '../../../src/backends/disk/disk-backend.ts'
import { MAXIMUM_REQUEST_SECTORS } from '../../../src/backends/disk/disk-range.ts'
import { MemoryDisk } from '../../../src/backends/disk/memory-disk.ts'
import { RawDisk } from '../../../src/backends/disk/raw-disk.ts'
import { random } from '../../devices/bench.ts'

let scratch: string
let image: string
const SECTORS = 300

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'ringside-disk-'))
  image = join(scratch, 'a.img')
  writeFileSync(image, pattern())
})
afterEach(() => rmSync(scratch, { recursive: true }))

const pattern = () => Uint8Array.from({ length: SECTORS * 512 }, (_, i) => (i >> 9) + 1)

function withDisk(run: (disk: RawDisk) => void, options = {}): void {
  const disk = new RawDisk(image, options)
  try {
    run(disk)
  } finally {
    disk.close()
  }
}

const KINDS: Record<string, () => Disk> = {
  'a raw file': () => new RawDisk(image),
  memory: () => new MemoryDisk(pattern()),
}

describe.each(Object.entries(KINDS))('%s', (_name, create) => {
  test('reads what was written, and does what it is asked beside a plain array of bytes', () => {
    const disk = create()
    const model = pattern()
    const next = random(99)
    for (let i = 0; i < 500; i++) {
      const sector = next(SECTORS)
      const count = 1 + next(SECTORS - sector)
      const action = next(4)
      if (action === 0) {
        const bytes = new Uint8Array(count * 512).fill(next(256))
        disk.write(sector, bytes)
        model.set(bytes, sector * 512)
      } else if (action < 3) {
        if (action === 1) disk.discard(sector, count)
        else disk.writeZeroes(sector, count)
        model.fill(0, sector * 512, (sector + count) * 512)
      }
      expect(Buffer.compare(disk.read(sector, count), model.subarray(sector * 512, (sector + count) * 512))).toBe(0)
    }
    expect(Buffer.compare(disk.read(0, SECTORS), model)).toBe(0)
    disk.flush()
    disk.close()
  })

  test('moves pieces of any lengths, and as many as a chain may have, as if they were one', () => {
    const disk = create()
    const next = random(7)
    const lengths = Array.from({ length: 2500 }, () => next(4) * next(20))
    lengths.push(512 - (lengths.reduce((sum, length) => sum + length, 0) % 512))
    const pieces = lengths.map(length => Uint8Array.from({ length }, () => next(256)))
    const all = Buffer.concat(pieces)
    disk.writePieces(3, pieces)
    expect(Buffer.compare(disk.read(3, all.length / 512), all)).toBe(0)
    const room = lengths.map(length => new Uint8Array(length))
    disk.readPieces(3, room)
    expect(Buffer.concat(room)).toEqual(all)
    expect(disk.read(2, 1)).toEqual(pattern().subarray(2 * 512, 3 * 512))
    for (const odd of [[new Uint8Array(511)], [new Uint8Array(512), new Uint8Array(1)]]) {
      expect(() => disk.readPieces(0, odd)).toThrow(DiskError)
      expect(() => disk.writePieces(0, odd)).toThrow(DiskError)
    }
    disk.close()
  })

  test('refuses ranges that are not its own, and leaves everything as it is', () => {
    const disk = create()
    for (const [sector, count] of [
      ...[
        [SECTORS, 1],
        [0, SECTORS + 1],
        [-1, 1],
        [0, -1],
        [0.5, 1],
        [Number.NaN, 1],
      ],
      ...[
        [2 ** 53, 1],
        [0, MAXIMUM_REQUEST_SECTORS + 1],
        [Number.POSITIVE_INFINITY, 1],
      ],
    ]) {
      expect(() => disk.read(sector, count)).toThrow(DiskError)
      expect(() => disk.writeZeroes(sector, count)).toThrow(DiskError)
      expect(() => disk.discard(sector, count)).toThrow(DiskError)
    }
    expect(() => disk.write(SECTORS - 1, new Uint8Array(1024))).toThrow(/end beyond the disk/)
    expect(() => disk.write(0, new Uint8Array(511))).toThrow(/no whole sectors/)
    expect(disk.read(SECTORS, 0)).toEqual(new Uint8Array(0))
    expect(Buffer.compare(disk.read(0, SECTORS), pattern())).toBe(0)
    disk.close()
  })
})

describe('an image file', () => {
  test('keeps its size, and what is behind it is what was written', () => {
    withDisk(disk => {
      disk.write(SECTORS - 1, new Uint8Array(512).fill(7))
      disk.flush()
    })
    const expected = pattern().fill(7, (SECTORS - 1) * 512)
    expect(Buffer.compare(readFileSync(image), expected)).toBe(0)
  })

  test('stays sparse where zeroes are written into a hole', () => {
    truncateSync(image, 0)
    truncateSync(image, 4 << 20)
    withDisk(disk => disk.writeZeroes(0, (4 << 20) / 512))
    expect(statSync(image)).toMatchObject({ size: 4 << 20, blocks: 0 })
  })

  test('is refused with what is wrong with it', () => {
    const file = (name: string, size: number) => {
      writeFileSync(join(scratch, name), new Uint8Array(size))
      return join(scratch, name)
    }
    const open = (path: string) => () => new RawDisk(path)
    expect(open(file('odd', 1000))).toThrow(/odd": 1000 bytes is not a multiple of the 512-byte sector$/)
    expect(open(file('empty', 0))).toThrow(/is empty; give it a size/)
    expect(open(join(scratch, 'none'))).toThrow(/none" can't be opened: there is no such file$/)
    expect(open(scratch)).toThrow(/is a directory; name a file/)
    expect(open('/dev/null')).toThrow(/is no regular file/)
    spawnSync('mkfifo', [join(scratch, 'fifo')])
    expect(open(join(scratch, 'fifo'))).toThrow(/is no regular file/)
    mkdirSync(join(scratch, 'sub'))
    symlinkSync('sub', join(scratch, 'link'))
    expect(open(join(scratch, 'link'))).toThrow(DiskError)
  })

  test('is not written when it is read-only', () => {
    withDisk(
      disk => {
        for (const change of [
          () => disk.write(0, new Uint8Array(512)),
          () => disk.writeZeroes(0, 1),
          () => disk.discard(0, 1),
        ])
          expect(change).toThrow(/read-only/)
        disk.flush()
      },
      { readOnly: true },
    )
    expect(Buffer.compare(readFileSync(image), pattern())).toBe(0)
  })

  test('that has become shorter fails its reads, and is not made longer by them', () => {
    withDisk(disk => {
      truncateSync(image, 512)
      expect(execute(disk, { kind: 'read', sector: 0, count: 2 }, bytes => new Uint8Array(bytes))).toEqual({
        ok: false,
        reason: `disk "${image}" has become shorter than it was: it ends at byte 512`,
      })
      expect(statSync(image).size).toBe(512)
    })
  })

  test('tells of a host without space: no write is reported that did not happen', () => {
    // A file size limit stops a write in the middle as a full disk does; SIGXFSZ is ignored, so that it is an error.
    truncateSync(image, 4 << 20)
    const program = `
      import { RawDisk } from ${JSON.stringify(fileURLToPath(new URL('../../../src/backends/disk/raw-disk.ts', import.meta.url)))}
      process.on('SIGXFSZ', () => {})
      const disk = new RawDisk(${JSON.stringify(image)})
      try {
        disk.write(0, new Uint8Array(2 << 20).fill(1))
        console.log('written')
      } catch (error) {
        console.log(error.constructor.name, error.message)
      }
      disk.close()`
    const script = join(scratch, 'full.mjs')
    writeFileSync(script, program)
    const { stdout } = spawnSync('bash', ['-c', 'ulimit -f 1024; exec "$0" "$1"', process.execPath, script], {
      encoding: 'utf8',
    })
    expect(stdout).toMatch(/^DiskError disk ".*a\.img" can't be written: EFBIG/)
    expect(statSync(image).size).toBe(4 << 20)
  })
})

describe('two machines', () => {
  test('can read one disk, and not write to it both', () => {
    withDisk(() => {
      expect(() => new RawDisk(image)).toThrow(/is in use by this process: .*add "readonly"/)
      symlinkSync(image, join(scratch, 'other-name'))
      expect(() => new RawDisk(join(scratch, 'other-name'))).toThrow(/in use/)
      withDisk(reader => expect(reader.read(0, 1)[0]).toBe(1), { readOnly: true })
    })
    withDisk(disk => disk.write(0, new Uint8Array(512)))
  })

  test('in two processes are kept apart too, and a process that died holds nothing', () => {
    const module = JSON.stringify(fileURLToPath(new URL('../../../src/backends/disk/raw-disk.ts', import.meta.url)))
    const open = `import { RawDisk } from ${module}\nconst disk = new RawDisk(${JSON.stringify(image)})\n`
    const script = join(scratch, 'open.mjs')
    const run = (text: string) => {
      writeFileSync(script, text)
      return spawnSync(process.execPath, [script], { encoding: 'utf8' })
    }
    withDisk(() => expect(run(open).stderr).toContain(`is in use by process ${process.pid}`))
    expect(run(`${open}process.kill(process.pid, 'SIGKILL')`).signal).toBe('SIGKILL')
    withDisk(disk => expect(disk.sectors).toBe(SECTORS))
    expect(run(`${open}disk.close()`).status).toBe(0)
    // One that ends without closing it.
    expect(run(open).status).toBe(0)
    withDisk(disk => expect(disk.sectors).toBe(SECTORS))
  })
})
