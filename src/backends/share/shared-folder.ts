/**
 * A folder of the host that a guest may look into, and write into where that is asked for. No path leads out of it:
 * names are single components, symbolic links are shown and never followed, and each component of a path is looked at
 * anew whenever it is used, since the guest may have put a link in its place. Files are plain ones: opening a FIFO or
 * a device is refused.
 */

import fs from 'node:fs'
import { attempt, reason, ShareError } from './share-error.ts'
import { SharedFile } from './shared-file.ts'

/** Components below the folder; the folder itself is the empty path. */
export type SharePath = readonly string[]

const LONGEST_NAME = 255
/** Deeper folders cost a look at each component, again and again. */
const DEEPEST = 128
/** Permission bits that a guest can set: no set-user-id files for the host. */
const PERMISSIONS = 0o777

export type FileKind = 'file' | 'directory' | 'link' | 'other'

export const kindOf = (stats: fs.BigIntStats): FileKind =>
  stats.isFile() ? 'file' : stats.isDirectory() ? 'directory' : stats.isSymbolicLink() ? 'link' : 'other'

/** How a file is opened; all else that a guest may ask for is nothing to the host. */
export interface OpenMode {
  readonly write: boolean
  readonly read: boolean
  readonly truncate: boolean
  readonly append: boolean
}

export interface Attributes {
  readonly mode?: number
  readonly size?: bigint
  /** Seconds; `now` for the host's time. */
  readonly accessed?: number | 'now'
  readonly modified?: number | 'now'
}

export class SharedFolder {
  /** As the user named it. */
  readonly name: string
  readonly writable: boolean
  readonly #root: string

  /** Throws an Error that says what is wrong when `path` is no folder. */
  constructor(path: string, writable: boolean) {
    this.name = path
    this.writable = writable
    try {
      this.#root = fs.realpathSync(path)
    } catch (error) {
      throw new Error(`shared folder "${path}" can't be opened: ${reason(error)}`, { cause: error })
    }
    if (!fs.statSync(this.#root).isDirectory()) throw new Error(`shared folder "${path}" is not a folder`)
  }

  /** Throws {@link ShareError} for a name that is not a single component. */
  static checkName(name: string): string {
    if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0'))
      throw new ShareError('EINVAL')
    if (Buffer.byteLength(name) > LONGEST_NAME) throw new ShareError('ENAMETOOLONG')
    return name
  }

  child(path: SharePath, name: string): SharePath {
    if (path.length >= DEEPEST) throw new ShareError('ENAMETOOLONG')
    return [...path, SharedFolder.checkName(name)]
  }

  stat(path: SharePath): fs.BigIntStats {
    const host = this.#host(path)
    return attempt(() => fs.lstatSync(host, { bigint: true }))
  }

  /** Names in a folder, in an order that is always the same; those that are no UTF-8 are left out. */
  list(path: SharePath): string[] {
    const host = this.#host(path)
    const names = attempt(() => fs.readdirSync(host, { encoding: 'buffer' }))
    return names
      .map(bytes => ({ bytes, text: bytes.toString('utf8') }))
      .filter(({ bytes, text }) => Buffer.from(text, 'utf8').equals(bytes))
      .map(({ text }) => text)
      .sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
  }

  readLink(path: SharePath): string {
    const host = this.#host(path)
    return attempt(() => fs.readlinkSync(host))
  }

  open(path: SharePath, mode: OpenMode): SharedFile {
    if (mode.write || mode.truncate) this.#requireWritable()
    const host = this.#host(path)
    const kind = kindOf(this.stat(path))
    if (kind === 'link') throw new ShareError('ELOOP')
    if (kind === 'other') throw new ShareError('EACCES', 'neither a file nor a folder')
    const { O_NOFOLLOW, O_NONBLOCK } = fs.constants
    return new SharedFile(attempt(() => fs.openSync(host, flagsOf(mode) | O_NOFOLLOW | O_NONBLOCK)))
  }

  create(path: SharePath, mode: OpenMode, permissions: number, exclusive: boolean): SharedFile {
    this.#requireWritable()
    const { O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants
    const host = this.#host(path)
    const exists = attempt(() => fs.lstatSync(host, { throwIfNoEntry: false }))
    if (exists !== undefined && !exclusive) return this.open(path, mode)
    const flags = flagsOf(mode) | O_CREAT | O_EXCL | O_NOFOLLOW
    return new SharedFile(attempt(() => fs.openSync(host, flags, permissions & PERMISSIONS)))
  }

  makeFolder(path: SharePath, permissions: number): void {
    this.#change(path, host => fs.mkdirSync(host, permissions & PERMISSIONS))
  }

  /** The target is kept as it is: only the guest follows it. */
  makeLink(path: SharePath, target: string): void {
    if (target === '' || target.includes('\0') || Buffer.byteLength(target) > 4095) throw new ShareError('EINVAL')
    this.#change(path, host => fs.symlinkSync(target, host))
  }

  /** Another name for a file. */
  addName(existing: SharePath, path: SharePath): void {
    const from = this.#host(existing)
    this.#change(path, host => fs.linkSync(from, host))
  }

  rename(from: SharePath, to: SharePath): void {
    if (from.length === 0 || to.length === 0) throw new ShareError('EBUSY')
    const host = this.#host(from)
    this.#change(to, target => fs.renameSync(host, target))
  }

  remove(path: SharePath, folder: boolean): void {
    if (path.length === 0) throw new ShareError('EBUSY')
    this.#change(path, host => (folder ? fs.rmdirSync(host) : fs.unlinkSync(host)))
  }

  /** Links have no attributes of their own to set. */
  setAttributes(path: SharePath, { mode, size, accessed, modified }: Attributes): void {
    this.#requireWritable()
    const stats = this.stat(path)
    const kind = kindOf(stats)
    if (kind === 'link' || kind === 'other') throw new ShareError('EPERM')
    this.#change(path, host => {
      if (mode !== undefined) fs.chmodSync(host, mode & PERMISSIONS)
      if (size !== undefined) fs.truncateSync(host, Number(size))
      if (accessed === undefined && modified === undefined) return
      const now = Date.now() / 1000
      const seconds = (wanted: number | 'now' | undefined, old: bigint) =>
        wanted === 'now' ? now : (wanted ?? Number(old) / 1e9)
      fs.utimesSync(host, seconds(accessed, stats.atimeNs), seconds(modified, stats.mtimeNs))
    })
  }

  statistics(): fs.StatsFs {
    return attempt(() => fs.statfsSync(this.#root))
  }

  #change(path: SharePath, action: (host: string) => void): void {
    this.#requireWritable()
    const host = this.#host(path)
    attempt(() => action(host))
  }

  #requireWritable(): void {
    if (!this.writable) throw new ShareError('EROFS')
  }

  /** Where a path is on the host. Every component but the last must be a folder, and no link to one. */
  #host(path: SharePath): string {
    let host = this.#root
    for (const [i, name] of path.entries()) {
      if (i > 0) {
        const stats = attempt(() => fs.lstatSync(host))
        if (stats.isSymbolicLink()) throw new ShareError('ELOOP')
        if (!stats.isDirectory()) throw new ShareError('ENOTDIR')
      }
      host = `${host}/${SharedFolder.checkName(name)}`
    }
    return host
  }
}

function flagsOf({ read, write, truncate, append }: OpenMode): number {
  const { O_RDONLY, O_WRONLY, O_RDWR, O_TRUNC, O_APPEND } = fs.constants
  const access = write ? (read ? O_RDWR : O_WRONLY) : O_RDONLY
  return access | (truncate ? O_TRUNC : 0) | (append ? O_APPEND : 0)
}
