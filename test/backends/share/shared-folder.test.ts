import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LINUX_ERRORS } from '../../../src/backends/share/linux-errors.ts'
import { ShareError } from '../../../src/backends/share/share-error.ts'
import { SharedFolder } from '../../../src/backends/share/shared-folder.ts'

const READ = { read: true, write: false, truncate: false, append: false }
const WRITE = { ...READ, write: true }

/** Name of the error that an action ends in. */
function errorOf(action: () => unknown): string {
  try {
    action()
    return 'none'
  } catch (error) {
    if (!(error instanceof ShareError)) throw error
    return Object.entries(LINUX_ERRORS).find(([, errno]) => errno === error.errno)?.[0] ?? String(error.errno)
  }
}

describe('a shared folder', () => {
  let top: string
  let folder: SharedFolder
  let writable: SharedFolder
  beforeEach(() => {
    top = fs.mkdtempSync(join(tmpdir(), 'ringside-share-'))
    fs.mkdirSync(join(top, 'share/inside'), { recursive: true })
    fs.writeFileSync(join(top, 'secret'), 'outside')
    fs.mkdirSync(join(top, 'share2'))
    fs.writeFileSync(join(top, 'share/file'), 'content')
    fs.writeFileSync(join(top, 'share/inside/deep'), 'deep')
    fs.symlinkSync('../secret', join(top, 'share/link'))
    fs.symlinkSync('..', join(top, 'share/up'))
    folder = new SharedFolder(join(top, 'share'), false)
    writable = new SharedFolder(join(top, 'share'), true)
  })
  afterEach(() => fs.rmSync(top, { recursive: true }))

  it('must be a folder', () => {
    expect(() => new SharedFolder(join(top, 'nothing'), false)).toThrow(/shared folder ".*nothing" can't be opened/)
    expect(() => new SharedFolder(join(top, 'secret'), false)).toThrow(/is not a folder/)
  })

  it('shows its files', () => {
    expect(folder.list([])).toEqual(['file', 'inside', 'link', 'up'])
    const file = folder.open(['inside', 'deep'], READ)
    expect(Buffer.from(file.read(1, 100)).toString()).toBe('eep')
    file.close()
  })

  it.each(['..', '.', '', 'a/b', '../secret', 'nul\0'])('takes no name %j', name => {
    expect(errorOf(() => folder.child([], name))).toBe('EINVAL')
    expect(errorOf(() => folder.stat([name]))).toBe('EINVAL')
    expect(errorOf(() => folder.open(['inside', name], READ))).toBe('EINVAL')
  })

  it('takes no name that is too long, and no path that is too deep', () => {
    expect(errorOf(() => folder.child([], 'x'.repeat(256)))).toBe('ENAMETOOLONG')
    expect(
      errorOf(() =>
        folder.child(
          Array.from({ length: 128 }, () => 'x'),
          'x',
        ),
      ),
    ).toBe('ENAMETOOLONG')
  })

  it('shows links and follows none, last or on the way', () => {
    expect(folder.readLink(['link'])).toBe('../secret')
    expect(folder.stat(['link']).isSymbolicLink()).toBe(true)
    expect(errorOf(() => folder.open(['link'], READ))).toBe('ELOOP')
    expect(errorOf(() => folder.stat(['up', 'secret']))).toBe('ELOOP')
    expect(errorOf(() => folder.list(['up', 'share2']))).toBe('ELOOP')
    expect(errorOf(() => writable.open(['link'], WRITE))).toBe('ELOOP')
    expect(errorOf(() => writable.create(['link'], WRITE, 0o644, false))).toBe('ELOOP')
    expect(errorOf(() => writable.create(['up', 'new'], WRITE, 0o644, false))).toBe('ELOOP')
    expect(errorOf(() => writable.setAttributes(['link'], { mode: 0o777 }))).toBe('EPERM')
    expect(errorOf(() => writable.setAttributes(['up', 'secret'], { size: 0n }))).toBe('ELOOP')
    expect(errorOf(() => writable.remove(['up', 'secret'], false))).toBe('ELOOP')
    expect(errorOf(() => writable.rename(['file'], ['up', 'file']))).toBe('ELOOP')
    expect(errorOf(() => writable.addName(['up', 'secret'], ['mine']))).toBe('ELOOP')
    expect(fs.readFileSync(join(top, 'secret'), 'utf8')).toBe('outside')
  })

  it('follows no link that takes the place of a folder that was there before', () => {
    expect(folder.list(['inside'])).toEqual(['deep'])
    writable.rename(['inside'], ['moved'])
    writable.makeLink(['inside'], '..')
    expect(errorOf(() => folder.stat(['inside', 'secret']))).toBe('ELOOP')
    expect(errorOf(() => folder.open(['inside', 'secret'], READ))).toBe('ELOOP')
  })

  it('opens no FIFO', () => {
    execFileSync('mkfifo', [join(top, 'share/pipe')])
    expect(errorOf(() => folder.open(['pipe'], READ))).toBe('EACCES')
  })

  it('is read-only unless asked', () => {
    const changes = (of: SharedFolder): (() => unknown)[] => [
      () => of.open(['file'], WRITE).close(),
      () => of.open(['file'], { ...READ, truncate: true }).close(),
      () => of.create(['new'], WRITE, 0o644, true).close(),
      () => of.makeFolder(['folder'], 0o755),
      () => of.makeLink(['another'], 'file'),
      () => of.addName(['file'], ['second']),
      () => of.rename(['second'], ['third']),
      () => of.setAttributes(['third'], { mode: 0o600, size: 3n }),
      () => of.remove(['third'], false),
    ]
    expect(changes(folder).map(errorOf)).toEqual(changes(folder).map(() => 'EROFS'))
    expect(changes(writable).map(errorOf)).toEqual(changes(writable).map(() => 'none'))
    expect(writable.list([])).toEqual(['another', 'file', 'folder', 'inside', 'link', 'new', 'up'])
  })

  it('gives no file set-user-id', () => {
    writable.create(['program'], WRITE, 0o6755, true).close()
    writable.setAttributes(['program'], { mode: 0o4711 })
    expect(writable.stat(['program']).mode & 0o7777n).toBe(0o711n)
  })

  it('can not be removed or moved itself', () => {
    expect(errorOf(() => writable.remove([], true))).toBe('EBUSY')
    expect(errorOf(() => writable.rename([], ['x']))).toBe('EBUSY')
  })

  it('leaves out names that are no UTF-8', () => {
    fs.writeFileSync(Buffer.concat([Buffer.from(join(top, 'share/')), Buffer.of(0xff, 0xfe)]), '')
    expect(folder.list([])).toEqual(['file', 'inside', 'link', 'up'])
  })

  it('reads and writes where it is asked to', () => {
    const file = writable.create(['new'], { ...WRITE, read: true }, 0o644, true)
    expect(file.write(3, Buffer.from('abc'))).toBe(3)
    expect(file.read(0, 10)).toEqual(Uint8Array.of(0, 0, 0, 97, 98, 99))
    file.sync()
    file.close()
    expect(errorOf(() => file.read(0, 1))).toBe('EBADF')
  })
})
