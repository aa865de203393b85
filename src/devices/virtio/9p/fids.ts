/** What a client holds by number: places in the shared folder, some of them open. */

import { ShareError } from '../../../backends/share/share-error.ts'
import type { SharedFile } from '../../../backends/share/shared-file.ts'
import { kindOf, type OpenMode, type SharedFolder, type SharePath } from '../../../backends/share/shared-folder.ts'
import type { Json } from '../../../util/json.ts'
import type { SavedState } from '../../saved-state.ts'

export interface Fid {
  path: SharePath
  /** If it is open; a folder that is has only a mode. */
  file: SharedFile | undefined
  mode: OpenMode | undefined
  /** Names of a folder as they were when reading it began. */
  names: readonly string[] | undefined
}

/** A client that opens files and closes none may not use up those of the host. */
const MOST_FIDS = 4096
const MOST_OPEN = 512

export class Fids {
  readonly #fids = new Map<number, Fid>()

  get count(): number {
    return this.#fids.size
  }

  get open(): number {
    let open = 0
    for (const { file } of this.#fids.values()) if (file !== undefined) open++
    return open
  }

  get(number: number): Fid {
    const fid = this.#fids.get(number)
    if (fid === undefined) throw new ShareError('EBADF', `there is no fid ${number}`)
    return fid
  }

  add(number: number, path: SharePath): Fid {
    if (this.#fids.has(number)) throw new ShareError('EBUSY', `fid ${number} is in use`)
    if (this.#fids.size >= MOST_FIDS) throw new ShareError('EMFILE')
    const fid: Fid = { path, file: undefined, mode: undefined, names: undefined }
    this.#fids.set(number, fid)
    return fid
  }

  /** Makes room for one more open file. */
  requireRoom(): void {
    if (this.open >= MOST_OPEN) throw new ShareError('EMFILE')
  }

  remove(number: number): void {
    const fid = this.get(number)
    this.#fids.delete(number)
    fid.file?.close()
  }

  clear(): void {
    for (const { file } of this.#fids.values()) file?.close()
    this.#fids.clear()
  }

  /** A file or folder has another place: those who hold it, or something in it, go with it. */
  moved(from: SharePath, to: SharePath): void {
    for (const fid of this.#fids.values())
      if (from.every((name, i) => fid.path[i] === name)) fid.path = [...to, ...fid.path.slice(from.length)]
  }

  save(): Json {
    return Array.from(this.#fids, ([number, { path, mode }]) => ({
      number,
      path: path.join('/'),
      mode: mode === undefined ? null : { read: mode.read, write: mode.write, append: mode.append },
    }))
  }

  /** Opens again what was open; what can't be is there without a descriptor, and gives errors. */
  restore(saved: readonly SavedState[], folder: SharedFolder): void {
    this.clear()
    for (const part of saved) {
      const path = part.text('path')
      const fid = this.add(part.number('number'), path === '' ? [] : path.split('/'))
      const mode = part.optionalPart('mode')
      if (mode === undefined) continue
      fid.mode = {
        ...{ read: mode.boolean('read'), write: mode.boolean('write'), append: mode.boolean('append') },
        truncate: false,
      }
      fid.file = openAgain(folder, fid.path, fid.mode)
    }
  }
}

function openAgain(folder: SharedFolder, path: SharePath, mode: OpenMode): SharedFile | undefined {
  try {
    return kindOf(folder.stat(path)) === 'file' ? folder.open(path, mode) : undefined
  } catch (error) {
    if (error instanceof ShareError) return undefined
    throw error
  }
}
