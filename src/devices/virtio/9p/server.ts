/** A 9P2000.L server for one client: requests as bytes in, answers as bytes out. Serves one request after the other. */

import { ShareError } from '../../../backends/share/share-error.ts'
import { kindOf, type OpenMode, type SharedFolder, type SharePath } from '../../../backends/share/shared-folder.ts'
import type { Json } from '../../../util/json.ts'
import type { SavedState } from '../../saved-state.ts'
import { attributesIn, writeAttributes } from './attributes.ts'
import { type Fid, Fids } from './fids.ts'
import { MessageReader, MessageWriter, type Qid } from './message.ts'
import * as p from './protocol.ts'

type Handler = (request: MessageReader, answer: MessageWriter) => void

/** Beside its name: qid, offset, type and the name's length. */
const ENTRY_OVERHEAD = 13 + 8 + 1 + 2
/** Of readdir(3). */
const [DT_DIR, DT_REG, DT_LNK] = [4, 8, 10]

/** Numbers of files are given in the order in which the client meets them, so that they are the same in each run. */
const MOST_REMEMBERED = 65_536

export class NinePServer {
  readonly #folder: SharedFolder
  readonly #fids = new Fids()
  #msize = p.LEAST_MSIZE
  #agreed = false
  /** By device and inode of the host. */
  readonly #numbers = new Map<string, bigint>()
  #nextNumber = 1n

  constructor(folder: SharedFolder) {
    this.#folder = folder
  }

  /** Bytes of the longest message, as agreed. */
  get msize(): number {
    return this.#msize
  }
  get fids(): number {
    return this.#fids.count
  }
  get open(): number {
    return this.#fids.open
  }

  /** The answer to a request; always one, of at most {@link msize} bytes. */
  serve(bytes: Uint8Array): Uint8Array {
    if (bytes.length < p.HEADER_SIZE) return this.#error(0xffff, new ShareError('EPROTO', 'no whole header'))
    const request = new MessageReader(bytes)
    const size = request.u32()
    const type = request.u8()
    const tag = request.u16()
    try {
      if (size !== bytes.length) throw new ShareError('EPROTO', `a message of ${bytes.length} bytes that says ${size}`)
      const name = p.requestOf(type)
      if (name === undefined) throw new ShareError('EOPNOTSUPP', `request ${type}`)
      if (!this.#agreed && name !== 'version') throw new ShareError('EPROTO', `${name} before a version was agreed on`)
      const answer = new MessageWriter()
      this.#handlers[name](request, answer)
      return answer.finish(type + 1, tag)
    } catch (error) {
      if (error instanceof ShareError) return this.#error(tag, error)
      throw error
    }
  }

  #error(tag: number, { errno }: ShareError): Uint8Array {
    return new MessageWriter().u32(errno).finish(p.RLERROR, tag)
  }

  /** The client is gone. */
  reset(): void {
    this.#fids.clear()
    this.#agreed = false
    this.#msize = p.LEAST_MSIZE
    this.#numbers.clear()
    this.#nextNumber = 1n
  }

  save(): Json {
    return {
      msize: this.#msize,
      agreed: this.#agreed,
      nextNumber: String(this.#nextNumber),
      numbers: Array.from(this.#numbers, ([file, number]) => ({ file, number: String(number) })),
      fids: this.#fids.save(),
    }
  }

  restore(saved: SavedState): void {
    this.reset()
    this.#msize = Math.min(p.MOST_MSIZE, Math.max(p.LEAST_MSIZE, saved.number('msize')))
    this.#agreed = saved.boolean('agreed')
    this.#nextNumber = saved.bigint('nextNumber')
    for (const part of saved.parts('numbers')) this.#numbers.set(part.text('file'), part.bigint('number'))
    this.#fids.restore(saved.parts('fids'), this.#folder)
  }

  #qid(path: SharePath): Qid {
    const stats = this.#folder.stat(path)
    const file = `${stats.dev}:${stats.ino}`
    let number = this.#numbers.get(file)
    if (number === undefined) {
      number = this.#nextNumber++
      // Forgotten files get new numbers: a client takes them for others, which costs it a cache.
      if (this.#numbers.size >= MOST_REMEMBERED) this.#numbers.clear()
      this.#numbers.set(file, number)
    }
    const kind = kindOf(stats)
    const type = kind === 'directory' ? p.QID_DIRECTORY : kind === 'link' ? p.QID_LINK : p.QID_FILE
    return { type, version: 0, path: number }
  }

  readonly #handlers: Readonly<Record<p.RequestName, Handler>> = {
    version: (request, answer) => {
      const msize = request.u32()
      const version = request.string()
      // A version begins a session: everything of the one before is gone.
      this.#fids.clear()
      this.#agreed = version === p.VERSION && msize >= p.LEAST_MSIZE
      const agreedSize = Math.min(msize, p.MOST_MSIZE)
      // What was not agreed on must leave room for another attempt.
      this.#msize = this.#agreed ? agreedSize : p.LEAST_MSIZE
      answer.u32(agreedSize).string(this.#agreed ? p.VERSION : 'unknown')
    },
    auth: () => {
      throw new ShareError('EOPNOTSUPP', 'no authentication is needed')
    },
    attach: (request, answer) => {
      const fid = request.u32()
      request.u32()
      request.string()
      request.string()
      const qid = this.#qid([])
      this.#fids.add(fid, [])
      answer.qid(qid)
    },
    // Requests are served one after the other: what is to be flushed has been answered.
    flush: request => {
      request.u16()
    },
    walk: (request, answer) => this.#walk(request, answer),
    clunk: request => this.#fids.remove(request.u32()),
    remove: request => {
      const number = request.u32()
      const { path } = this.#fids.get(number)
      // The fid is gone whether that succeeds or not.
      this.#fids.remove(number)
      this.#folder.remove(path, kindOf(this.#folder.stat(path)) === 'directory')
    },

    getattr: (request, answer) => {
      const { path } = this.#fids.get(request.u32())
      request.u64()
      writeAttributes(answer, this.#qid(path), this.#folder.stat(path))
    },
    setattr: request => {
      const { path } = this.#fids.get(request.u32())
      this.#folder.setAttributes(path, attributesIn(request))
    },
    statfs: (request, answer) => {
      this.#fids.get(request.u32())
      const { type, bsize, blocks, bfree, bavail, files, ffree } = this.#folder.statistics()
      answer.u32(type).u32(bsize)
      for (const value of [blocks, bfree, bavail, files, ffree, 0]) answer.u64(BigInt(value))
      answer.u32(255)
    },
    // There are no extended attributes: a client asks for those of security at each file.
    xattrwalk: () => {
      throw new ShareError('EOPNOTSUPP')
    },
    xattrcreate: () => {
      throw new ShareError('EOPNOTSUPP')
    },

    lopen: (request, answer) => {
      const fid = this.#fids.get(request.u32())
      this.#open(fid, request.u32())
      answer.qid(this.#qid(fid.path)).u32(this.#unit)
    },
    lcreate: (request, answer) => {
      const fid = this.#fids.get(request.u32())
      const path = this.#folder.child(fid.path, request.string())
      const flags = request.u32()
      const permissions = request.u32()
      this.#fids.requireRoom()
      const mode = openMode(flags)
      fid.file = this.#folder.create(path, mode, permissions, (flags & p.L_EXCL) !== 0)
      fid.path = path
      fid.mode = mode
      answer.qid(this.#qid(path)).u32(this.#unit)
    },
    read: (request, answer) => {
      const { file } = this.#fids.get(request.u32())
      const offset = position(request.u64())
      const count = Math.min(request.u32(), this.#unit)
      if (file === undefined) throw new ShareError('EBADF', 'the fid is no open file')
      const bytes = file.read(offset, count)
      answer.u32(bytes.length).bytes(bytes)
    },
    write: (request, answer) => {
      const { file, mode } = this.#fids.get(request.u32())
      const offset = position(request.u64())
      const bytes = request.bytes(request.u32())
      if (file === undefined || mode?.write !== true) throw new ShareError('EBADF', 'the fid is not open for writing')
      answer.u32(file.write(offset, bytes))
    },
    fsync: request => this.#fids.get(request.u32()).file?.sync(),
    readdir: (request, answer) => this.#readFolder(request, answer),
    // One client: nobody else can hold a lock.
    lock: (request, answer) => {
      this.#fids.get(request.u32())
      answer.u8(p.LOCK_SUCCESS)
    },
    getlock: (request, answer) => {
      this.#fids.get(request.u32())
      request.u8()
      answer.u8(p.LOCK_UNLOCKED).u64(request.u64()).u64(request.u64()).u32(request.u32()).string(request.string())
    },

    mkdir: (request, answer) => {
      const path = this.#folder.child(this.#fids.get(request.u32()).path, request.string())
      this.#folder.makeFolder(path, request.u32())
      answer.qid(this.#qid(path))
    },
    symlink: (request, answer) => {
      const path = this.#folder.child(this.#fids.get(request.u32()).path, request.string())
      this.#folder.makeLink(path, request.string())
      answer.qid(this.#qid(path))
    },
    // A device or FIFO of the guest would be one of the host.
    mknod: () => {
      throw new ShareError('EPERM')
    },
    link: request => {
      const folder = this.#fids.get(request.u32()).path
      const { path } = this.#fids.get(request.u32())
      this.#folder.addName(path, this.#folder.child(folder, request.string()))
    },
    readlink: (request, answer) => {
      answer.string(this.#folder.readLink(this.#fids.get(request.u32()).path))
    },
    rename: request => {
      const { path } = this.#fids.get(request.u32())
      const folder = this.#fids.get(request.u32()).path
      this.#rename(path, this.#folder.child(folder, request.string()))
    },
    renameat: request => {
      const from = this.#folder.child(this.#fids.get(request.u32()).path, request.string())
      const to = this.#folder.child(this.#fids.get(request.u32()).path, request.string())
      this.#rename(from, to)
    },
    unlinkat: request => {
      const path = this.#folder.child(this.#fids.get(request.u32()).path, request.string())
      this.#folder.remove(path, (request.u32() & p.AT_REMOVEDIR) !== 0)
    },
  }

  /** Bytes of data that a message has room for. */
  get #unit(): number {
    return this.#msize - p.DATA_OVERHEAD
  }

  /** A walk that fails behind its first name is answered with as far as it came, and makes no fid. */
  #walk(request: MessageReader, answer: MessageWriter): void {
    const fromNumber = request.u32()
    const from = this.#fids.get(fromNumber)
    const number = request.u32()
    const count = request.u16()
    if (count > p.MOST_NAMES) throw new ShareError('EINVAL', `${count} names in one walk`)
    if (from.mode !== undefined && count > 0) throw new ShareError('EBUSY', 'the fid is open')
    const qids: Qid[] = []
    let { path } = from
    for (let i = 0; i < count; i++) {
      const name = request.string()
      try {
        path = this.#step(path, name)
        qids.push(this.#qid(path))
      } catch (error) {
        if (i === 0 || !(error instanceof ShareError)) throw error
        break
      }
    }
    if (qids.length === count) {
      if (number === fromNumber) from.path = path
      else this.#fids.add(number, path)
    }
    answer.u16(qids.length)
    for (const qid of qids) answer.qid(qid)
  }

  /** `..` of the shared folder is the folder itself. */
  #step(path: SharePath, name: string): SharePath {
    if (kindOf(this.#folder.stat(path)) !== 'directory') throw new ShareError('ENOTDIR')
    return name === '..' ? path.slice(0, -1) : this.#folder.child(path, name)
  }

  #open(fid: Fid, flags: number): void {
    if (fid.mode !== undefined) throw new ShareError('EBUSY', 'the fid is open already')
    const mode = openMode(flags)
    const kind = kindOf(this.#folder.stat(fid.path))
    if (kind !== 'directory') {
      this.#fids.requireRoom()
      fid.file = this.#folder.open(fid.path, mode)
    } else if (mode.write || mode.truncate) throw new ShareError('EISDIR')
    fid.mode = mode
  }

  /** Offsets are positions in the list of names, which is made when the client begins at 0. */
  #readFolder(request: MessageReader, answer: MessageWriter): void {
    const fid = this.#fids.get(request.u32())
    const offset = position(request.u64())
    const most = Math.min(request.u32(), this.#unit)
    if (fid.mode === undefined) throw new ShareError('EBADF', 'the fid is not open')
    if (offset === 0 || fid.names === undefined) fid.names = ['.', '..', ...this.#folder.list(fid.path)]
    const entries = new MessageWriter()
    for (let i = offset; i < fid.names.length; i++) {
      const name = fid.names[i]
      const qid = this.#entryQid(fid.path, name)
      // Removed since.
      if (qid === undefined) continue
      if (entries.length + ENTRY_OVERHEAD + Buffer.byteLength(name) > most) break
      entries
        .qid(qid)
        .u64(BigInt(i + 1))
        .u8(qid.type === p.QID_DIRECTORY ? DT_DIR : qid.type === p.QID_LINK ? DT_LNK : DT_REG)
        .string(name)
    }
    answer.u32(entries.length).bytes(entries.body())
  }

  #entryQid(path: SharePath, name: string): Qid | undefined {
    try {
      if (name === '.') return this.#qid(path)
      return this.#qid(name === '..' ? path.slice(0, -1) : this.#folder.child(path, name))
    } catch (error) {
      if (error instanceof ShareError) return undefined
      throw error
    }
  }

  #rename(from: SharePath, to: SharePath): void {
    this.#folder.rename(from, to)
    this.#fids.moved(from, to)
  }
}

function openMode(flags: number): OpenMode {
  const access = flags & p.L_ACCESS
  return {
    read: access !== p.L_WRONLY,
    write: access === p.L_WRONLY || access === p.L_RDWR,
    truncate: (flags & p.L_TRUNC) !== 0,
    append: (flags & p.L_APPEND) !== 0,
  }
}

/** Offsets beyond what the host's files can have are beyond every end. */
function position(offset: bigint): number {
  if (offset > BigInt(Number.MAX_SAFE_INTEGER)) throw new ShareError('EFBIG')
  return Number(offset)
}
