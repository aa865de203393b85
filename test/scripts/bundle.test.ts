import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const repository = fileURLToPath(new URL('../..', import.meta.url))

test('the bundle is one file that boots a guest from any directory', () => {
  const directory = mkdtempSync(join(tmpdir(), 'ringside-bundle-'))
  try {
    const bundle = join(directory, 'ringside.mjs')
    execFileSync(process.execPath, [join(repository, 'scripts/build.ts'), bundle], { stdio: 'pipe' })
    const tour = join(repository, 'guests/prebuilt/tour.elf')
    const output = execFileSync(bundle, ['run', tour], { cwd: directory, encoding: 'utf8' })
    expect(output).toContain('user: hello from ring 3\n')

    // A disk's worker runs the same file: it opens the disk, and ends when the machine is done with it.
    const disk = join(directory, 'disk.img')
    writeFileSync(disk, new Uint8Array(512))
    const withWorker = ['run', tour, '--disk', `${disk},backend=worker`]
    expect(execFileSync(bundle, withWorker, { cwd: directory, encoding: 'utf8' })).toBe(output)
  } finally {
    rmSync(directory, { recursive: true })
  }
})
