/** Attributes of files on the wire: Rgetattr and Tsetattr. */

import type { BigIntStats } from 'node:fs'
import type { Attributes } from '../../../backends/share/shared-folder.ts'
import type { MessageReader, MessageWriter, Qid } from './message.ts'
import * as p from './protocol.ts'

const NANOSECONDS = 1_000_000_000n

/** Everything that stat(2) tells; times of creation, generations and versions are not told. */
export function writeAttributes(answer: MessageWriter, qid: Qid, stats: BigIntStats): void {
  answer.u64(p.GETATTR_BASIC).qid(qid)
  for (const value of [stats.mode, stats.uid, stats.gid]) answer.u32(Number(value & 0xffff_ffffn))
  for (const value of [stats.nlink, stats.rdev, stats.size, stats.blksize, stats.blocks]) answer.u64(value)
  for (const time of [stats.atimeNs, stats.mtimeNs, stats.ctimeNs, 0n])
    answer.u64(time / NANOSECONDS).u64(time % NANOSECONDS)
  answer.u64(0n).u64(0n)
}

/** Owner and group stay the host's, whatever the client asks for. */
export function attributesIn(request: MessageReader): Attributes {
  const valid = request.u32()
  const mode = request.u32()
  request.u32()
  request.u32()
  const size = request.u64()
  const accessed = seconds(request)
  const modified = seconds(request)
  const has = (bit: number) => (valid & bit) !== 0
  return {
    ...(has(p.SETATTR_MODE) ? { mode } : {}),
    ...(has(p.SETATTR_SIZE) ? { size } : {}),
    ...(has(p.SETATTR_ATIME) ? { accessed: has(p.SETATTR_ATIME_SET) ? accessed : 'now' } : {}),
    ...(has(p.SETATTR_MTIME) ? { modified: has(p.SETATTR_MTIME_SET) ? modified : 'now' } : {}),
  }
}

const seconds = (request: MessageReader): number => Number(request.u64()) + Number(request.u64()) / 1e9
