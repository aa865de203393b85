/**
 * A disk that two machines write to at once is lost: whoever opens one for writing takes its lock. Node.js has no file
 * locks, so that the lock is a small file in the host's folder for temporary files, named by the image's device and
 * inode (whatever the path), with the id of the process that has it. That of a process that is gone is taken over.
 */

import { readFileSync, rmSync, type Stats, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DiskError } from './disk.ts'

/** Locks of this process, released when it ends without closing its disks. */
const held = new Set<string>()
let releasedAtExit = false

export class DiskLock {
  readonly #path: string

  private constructor(path: string) {
    this.#path = path
  }

  /** Throws {@link DiskError} when another machine has the disk. */
  static take(disk: string, { dev, ino }: Stats): DiskLock {
    const path = join(tmpdir(), `ringside-disk-${dev}-${ino}.lock`)
    for (let attempt = 0; !create(disk, path); attempt++) {
      const owner = ownerOf(path)
      if (attempt === 2 || (owner !== undefined && isRunning(owner))) throw inUse(disk, path, owner)
      rmSync(path, { force: true })
    }
    held.add(path)
    if (!releasedAtExit) process.once('exit', releaseAll)
    releasedAtExit = true
    return new DiskLock(path)
  }

  release(): void {
    if (held.delete(this.#path)) rmSync(this.#path, { force: true })
  }
}

/** @returns false when it is there already. */
function create(disk: string, path: string): boolean {
  try {
    writeFileSync(path, String(process.pid), { flag: 'wx' })
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw new DiskError(
      `disk "${disk}": its lock ${path} can't be made: ${error instanceof Error ? error.message : error}`,
    )
  }
}

function ownerOf(path: string): number | undefined {
  try {
    const owner = Number(readFileSync(path, 'latin1'))
    return Number.isInteger(owner) && owner > 0 ? owner : undefined
  } catch {
    // Given back meanwhile, or another user's: the next attempt shows which.
    return undefined
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

function inUse(disk: string, path: string, owner: number | undefined): DiskError {
  const who = owner === process.pid ? 'this process' : owner === undefined ? 'another machine' : `process ${owner}`
  return new DiskError(
    `disk "${disk}" is in use by ${who}: a disk that is written to belongs to one machine. ` +
      `End the other one, add "readonly", or remove ${path} if nobody has the disk`,
  )
}

function releaseAll(): void {
  for (const path of held) rmSync(path, { force: true })
}
