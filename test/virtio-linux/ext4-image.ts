/** Images with an ext4 file system, made and examined by e2fsprogs on the host: nothing needs to be mounted there. */

import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const TOOLS = ['mke2fs', 'debugfs', 'e2fsck']
/** Where they are for root, whose path not everybody has. */
const PATH = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`

/** Are e2fsprogs installed? */
export function hasExt4Tools(): boolean {
  return TOOLS.every(tool => PATH.split(':').some(directory => existsSync(join(directory, tool))))
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** Makes an image in `directory` with `files` in its root. @returns its path. */
export function makeExt4(directory: string, mebibytes: number, files: Readonly<Record<string, Uint8Array>>): string {
  const content = join(directory, 'content')
  mkdirSync(content)
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(content, name), bytes)
  const image = join(directory, 'ext4.img')
  writeFileSync(image, '')
  truncateSync(image, mebibytes * 2 ** 20)
  const options = ['-q', '-F', '-t', 'ext4', '-E', 'lazy_itable_init=0,lazy_journal_init=0', '-d', content, image]
  execFileSync('mke2fs', options, { env: { ...process.env, PATH }, stdio: ['ignore', 'ignore', 'inherit'] })
  return image
}

/** What `e2fsck` complains of; empty for a file system that is whole and was cleanly unmounted. */
export function checkExt4(image: string): string {
  const { status, stdout, stderr } = spawnSync('e2fsck', ['-f', '-n', image], {
    encoding: 'utf8',
    env: { ...process.env, PATH },
  })
  return status === 0 ? '' : `${stdout}${stderr}`
}

/** A file of the file system, read by its own tools. */
export function readExt4(image: string, path: string): Buffer {
  return execFileSync('debugfs', ['-R', `cat ${path}`, image], {
    env: { ...process.env, PATH },
    maxBuffer: 64 * 2 ** 20,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
}
