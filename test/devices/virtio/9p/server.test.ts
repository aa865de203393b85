import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SharedFolder } from '../../../../src/backends/share/shared-folder.ts'
import { SavedState } from '../../../../src/devices/saved-state.ts'
import { NinePDevice } from '../../../../src/devices/virtio/9p/device.ts'
import { MessageReader, MessageWriter } from '../../../../src/devices/virtio/9p/message.ts'
import { REQUESTS, type RequestName } from '../../../../src/devices/virtio/9p/protocol.ts'
import { NinePServer } from '../../../../src/devices/virtio/9p/server.ts'
import { Random } from '../../../engine/guest/random.ts'
import { FakeChain, FakePort } from '../../../support/virtio-port.ts'

const RLERROR = 7
const [ENOENT, EBADF, EBUSY, ENOTDIR, EISDIR, EINVAL, EROFS, ELOOP, EPROTO, EOPNOTSUPP] = [
  ...[2, 9, 16, 20, 21, 22, 30, 40, 71, 95],
]
const NOFID = 0xffff_ffff
const RDWR = 2

/** The answer's body, or the number of its error. */
type Answer = MessageReader | number

class Client {
  readonly server: NinePServer

  constructor(server: NinePServer) {
    this.server = server
  }

  ask(name: RequestName, body: (message: MessageWriter) => MessageWriter): Answer {
    const answer = this.server.serve(body(new MessageWriter()).finish(REQUESTS[name], 5))
    const message = new MessageReader(answer)
    expect(message.u32()).toBe(answer.length)
    const type = message.u8()
    expect(message.u16()).toBe(5)
    if (type === RLERROR) return message.u32()
    expect(type).toBe(REQUESTS[name] + 1)
    return message
  }

  /** Throws when it is refused. */
  must(name: RequestName, body: (message: MessageWriter) => MessageWriter): MessageReader {
    const answer = this.ask(name, body)
    if (typeof answer === 'number') throw new Error(`${name}: error ${answer}`)
    return answer
  }

  begin(): this {
    this.must('version', m => m.u32(65_536).string('9P2000.L'))
    this.must('attach', m => m.u32(0).u32(NOFID).string('root').string('').u32(0))
    return this
  }

  walk(fid: number, to: number, ...names: string[]): Answer {
    return this.ask('walk', m =>
      names.reduce((message, name) => message.string(name), m.u32(fid).u32(to).u16(names.length)),
    )
  }

  read(fid: number, offset = 0n, count = 1000): string {
    const answer = this.must('read', m => m.u32(fid).u64(offset).u32(count))
    return Buffer.from(answer.bytes(answer.u32())).toString()
  }

  list(fid: number, count = 4096): string[] {
    const names: string[] = []
    for (let offset = 0n; ; ) {
      const answer = this.must('readdir', m => m.u32(fid).u64(offset).u32(count))
      const entries = new MessageReader(answer.bytes(answer.u32()))
      let some = false
      for (;;) {
        try {
          entries.bytes(13)
        } catch {
          break
        }
        offset = entries.u64()
        entries.u8()
        names.push(entries.string())
        some = true
      }
      if (!some) return names
    }
  }
}

describe('the 9P server', () => {
  let top: string
  let root: string
  beforeEach(() => {
    top = fs.mkdtempSync(join(tmpdir(), 'ringside-9p-'))
    root = join(top, 'share')
    fs.mkdirSync(join(root, 'folder'), { recursive: true })
    fs.writeFileSync(join(top, 'secret'), 'outside')
    fs.writeFileSync(join(root, 'file'), 'content')
    fs.writeFileSync(join(root, 'folder/deep'), 'deep')
  })
  afterEach(() => fs.rmSync(top, { recursive: true }))

  const server = (writable = false) => new NinePServer(new SharedFolder(root, writable))
  const client = (writable = false) => new Client(server(writable)).begin()

  it('begins with a version, and answers nothing before', () => {
    const early = new Client(server())
    expect(early.ask('attach', m => m.u32(0).u32(NOFID).string('').string('').u32(0))).toBe(EPROTO)
    const answer = early.must('version', m => m.u32(2 ** 31).string('9P2000.L'))
    expect([answer.u32(), answer.string()]).toEqual([524_288, '9P2000.L'])
    const other = early.must('version', m => m.u32(65_536).string('9P2000.u'))
    expect([other.u32(), other.string()]).toEqual([65_536, 'unknown'])
    early.must('version', m => m.u32(2).string('9P2000.L'))
    expect(early.server.msize).toBe(4096)
  })

  it('walks to a file, opens it and reads', () => {
    const c = client()
    c.walk(0, 1, 'folder', 'deep')
    c.must('lopen', m => m.u32(1).u32(0))
    expect(c.read(1)).toBe('deep')
    expect(c.read(1, 2n, 1)).toBe('e')
    expect(c.read(1, 100n)).toBe('')
    c.must('clunk', m => m.u32(1))
    expect(c.ask('read', m => m.u32(1).u64(0n).u32(1))).toBe(EBADF)
  })

  it('stops a walk where it fails, and makes no fid then', () => {
    const c = client()
    expect(c.walk(0, 1, 'nothing')).toBe(ENOENT)
    const part = c.walk(0, 1, 'folder', 'nothing')
    expect(part instanceof MessageReader && part.u16()).toBe(1)
    expect(c.ask('clunk', m => m.u32(1))).toBe(EBADF)
    expect(c.walk(0, 1, 'file', 'x')).not.toBe(ENOTDIR)
    c.walk(0, 2, 'file')
    expect(c.walk(2, 3, 'x')).toBe(ENOTDIR)
    expect(c.walk(0, 2)).toBe(EBUSY)
  })

  it('does not leave the folder by ..', () => {
    const c = client()
    expect(c.walk(0, 1, '..', '..', 'secret')).toBeInstanceOf(MessageReader)
    expect(c.ask('getattr', m => m.u32(1).u64(0x7ffn))).toBe(EBADF)
    c.walk(0, 2, 'folder', '..', '..', 'file')
    c.must('lopen', m => m.u32(2).u32(0))
    expect(c.read(2)).toBe('content')
    expect(c.walk(0, 3, '../secret')).toBe(EINVAL)
  })

  it('lists folders, in pieces as small as the client wants', () => {
    for (let i = 0; i < 50; i++) fs.writeFileSync(join(root, `entry-${String(i).padStart(2, '0')}`), '')
    const c = client()
    c.walk(0, 1)
    c.must('lopen', m => m.u32(1).u32(0))
    const whole = c.list(1)
    expect(whole).toHaveLength(54)
    expect(whole.slice(0, 3)).toEqual(['.', '..', 'entry-00'])
    expect(c.list(1, 100)).toEqual(whole)
  })

  it('tells attributes', () => {
    fs.chmodSync(join(root, 'file'), 0o640)
    const c = client()
    c.walk(0, 1, 'file')
    const answer = c.must('getattr', m => m.u32(1).u64(0x7ffn))
    expect(answer.u64()).toBe(0x7ffn)
    answer.bytes(13)
    expect(answer.u32()).toBe(0o100640)
    answer.bytes(8)
    expect([answer.u64(), answer.u64(), answer.u64()]).toEqual([1n, 0n, 7n])
  })

  it('gives files the same numbers in each run, whatever the host has', () => {
    const numbers = () => {
      const c = client()
      const answer = c.walk(0, 1, 'folder', 'deep')
      if (typeof answer === 'number') throw new Error()
      return Array.from({ length: answer.u16() }, () => {
        answer.bytes(5)
        return answer.u64()
      })
    }
    const first = numbers()
    fs.rmSync(join(root, 'folder'), { recursive: true })
    fs.mkdirSync(join(root, 'folder'))
    fs.writeFileSync(join(root, 'folder/deep'), 'new')
    expect(numbers()).toEqual(first)
  })

  it('changes nothing in a folder that is not writable', () => {
    const c = client()
    c.walk(0, 1, 'file')
    expect(c.ask('lopen', m => m.u32(1).u32(RDWR))).toBe(EROFS)
    expect(c.ask('lcreate', m => m.u32(0).string('x').u32(RDWR).u32(0o644).u32(0))).toBe(EROFS)
    expect(c.ask('mkdir', m => m.u32(0).string('x').u32(0o755).u32(0))).toBe(EROFS)
    expect(c.ask('unlinkat', m => m.u32(0).string('file').u32(0))).toBe(EROFS)
    expect(c.ask('setattr', m => m.u32(1).u32(8).u32(0).u32(0).u32(0).u64(0n).u64(0n).u64(0n).u64(0n).u64(0n))).toBe(
      EROFS,
    )
    expect(c.ask('remove', m => m.u32(1))).toBe(EROFS)
    expect(fs.readFileSync(join(root, 'file'), 'utf8')).toBe('content')
  })

  it('creates, writes, renames and removes where it may', () => {
    const c = client(true)
    c.walk(0, 1)
    c.must('lcreate', m => m.u32(1).string('new').u32(RDWR).u32(0o600).u32(0))
    expect(c.must('write', m => m.u32(1).u64(2n).u32(3).bytes(Buffer.from('abc'))).u32()).toBe(3)
    expect(c.read(1)).toBe('\0\0abc')
    c.must('fsync', m => m.u32(1).u32(0))
    c.must('mkdir', m => m.u32(0).string('made').u32(0o755).u32(0))
    c.walk(0, 2, 'made')
    c.must('renameat', m => m.u32(0).string('new').u32(2).string('old'))
    expect(fs.readFileSync(join(root, 'made/old'), 'utf8')).toBe('\0\0abc')
    c.must('symlink', m => m.u32(2).string('link').string('../../secret').u32(0))
    c.walk(2, 3, 'link')
    expect(c.must('readlink', m => m.u32(3)).string()).toBe('../../secret')
    expect(c.ask('lopen', m => m.u32(3).u32(0))).toBe(ELOOP)
    expect(c.ask('mknod', m => m.u32(2).string('null').u32(0o20666).u32(1).u32(3).u32(0))).toBe(1)
    c.must('unlinkat', m => m.u32(2).string('old').u32(0))
    c.must('unlinkat', m => m.u32(2).string('link').u32(0))
    c.must('unlinkat', m => m.u32(0).string('made').u32(0x200))
    expect(fs.readdirSync(root)).toEqual(['file', 'folder'])
  })

  it('keeps fids at what they name when it moves', () => {
    const c = client(true)
    c.walk(0, 1, 'folder', 'deep')
    c.must('renameat', m => m.u32(0).string('folder').u32(0).string('moved'))
    c.must('lopen', m => m.u32(1).u32(0))
    expect(c.read(1)).toBe('deep')
  })

  it('follows no link that the client puts in the place of a folder it stands in', () => {
    const c = client(true)
    c.walk(0, 1, 'folder')
    c.must('unlinkat', m => m.u32(1).string('deep').u32(0))
    c.must('unlinkat', m => m.u32(0).string('folder').u32(0x200))
    c.must('symlink', m => m.u32(0).string('folder').string('..').u32(0))
    expect(c.walk(1, 2, 'secret')).toBe(ENOTDIR)
    expect(c.ask('lcreate', m => m.u32(1).string('x').u32(RDWR).u32(0o644).u32(0))).toBe(ELOOP)
    expect(fs.readdirSync(top).sort()).toEqual(['secret', 'share'])
  })

  it('refuses what makes no sense', () => {
    const c = client(true)
    expect(c.ask('lopen', m => m.u32(0).u32(RDWR))).toBe(EISDIR)
    expect(c.ask('read', m => m.u32(0).u64(0n).u32(1))).toBe(EBADF)
    expect(c.ask('xattrwalk', m => m.u32(0).u32(1).string('security.capability'))).toBe(EOPNOTSUPP)
    expect(c.ask('read', m => m.u32(0))).toBe(EINVAL)
    expect(c.walk(0, 1, ...Array.from({ length: 17 }, () => 'x'))).toBe(EINVAL)
    expect(new MessageReader(c.server.serve(new Uint8Array(3))).u32()).toBe(11)
    expect(c.server.serve(Uint8Array.of(9, 0, 0, 0, 104, 0, 0))[4]).toBe(RLERROR)
  })

  it('holds a limited number of fids and of open files', () => {
    const c = client()
    const errors = new Set<unknown>()
    for (let fid = 1; fid < 5000; fid++) {
      const answer = c.walk(0, fid, 'file')
      if (typeof answer === 'number') errors.add(answer)
      else if (fid < 1000) {
        const opened = c.ask('lopen', m => m.u32(fid).u32(0))
        if (typeof opened === 'number') errors.add(opened)
      }
    }
    expect([...errors]).toEqual([24])
    expect([c.server.fids, c.server.open]).toEqual([4096, 512])
    c.server.reset()
    expect([c.server.fids, c.server.open]).toEqual([0, 0])
  })

  it('continues after a restore with what was open', () => {
    const c = client()
    c.walk(0, 1, 'file')
    c.must('lopen', m => m.u32(1).u32(0))
    c.walk(0, 2, 'folder', 'deep')
    c.must('lopen', m => m.u32(2).u32(0))
    fs.rmSync(join(root, 'folder/deep'))
    const other = new Client(server())
    other.server.restore(new SavedState('9p', c.server.save()))
    expect(other.read(1)).toBe('content')
    expect(other.ask('read', m => m.u32(2).u64(0n).u32(1))).toBe(EBADF)
    c.server.reset()
    other.server.reset()
  })

  it('answers noise, and requests with noise in them, with errors', () => {
    const random = new Random(9)
    const c = client(true)
    const types = Object.values(REQUESTS)
    for (let i = 0; i < 20_000; i++) {
      const body = Uint8Array.from({ length: random.below(60) }, () =>
        random.chance(0.6) ? random.below(4) : random.below(256),
      )
      const answer = c.server.serve(new MessageWriter().bytes(body).finish(random.pick(types), i & 0xffff))
      expect(new DataView(answer.buffer, answer.byteOffset).getUint32(0, true)).toBe(answer.length)
      expect(answer.length).toBeLessThanOrEqual(524_288)
      if (random.chance(0.05)) c.begin()
    }
    c.server.reset()
    expect(fs.readFileSync(join(top, 'secret'), 'utf8')).toBe('outside')
    expect(fs.readdirSync(top).sort()).toEqual(['secret', 'share'])
  })

  it('is a device with a mount tag, whose chains can be described', () => {
    const device = new NinePDevice('virtio-9p0', 'host', new SharedFolder(root, false))
    const port = new FakePort(device)
    expect(Array.from({ length: 6 }, (_, i) => device.readConfiguration(i, 1))).toEqual([4, 0, ...Buffer.from('host')])
    const request = new MessageWriter().u32(65_536).string('9P2000.L').finish(REQUESTS.version, 7)
    const chain = new FakeChain(0, request, 100)
    port.queues[0].available.push(chain)
    device.service(0)
    expect(chain.written).toBe(21)
    expect(device.describe(0, chain)).toEqual({
      summary: 'Tversion, tag 7, 21 bytes',
      fields: [{ name: 'answer', value: 'Rversion, 21 bytes' }],
    })
    expect(() => new NinePDevice('virtio-9p0', '', new SharedFolder(root, false))).toThrow(RangeError)
  })
})
