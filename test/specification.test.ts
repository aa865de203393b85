/** What SPECIFICATION.md promises is tied to tests that exist. */

import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const text = readFileSync(fileURLToPath(new URL('../SPECIFICATION.md', import.meta.url)), 'utf8')
const folder = fileURLToPath(new URL('.', import.meta.url))

/** Rows name a file by its path under test/, or by its name where it stands beside the one before it. */
function namedFiles(row: string): string[] {
  let directory = ''
  return [...row.matchAll(/`([\w./-]+\.test\.ts)`/g)].map(([, name]) => {
    if (!name.includes('/')) return directory + name
    directory = name.slice(0, name.lastIndexOf('/') + 1)
    return name
  })
}

describe('the specification', () => {
  const rows = text.split('\n').filter(line => /^\| (?!promise|-)/.test(line))

  it('names a test or a command for every promise', () => {
    expect(rows.length).toBeGreaterThan(50)
    const without = rows.filter(row => namedFiles(row).length === 0 && !row.includes('`npm run'))
    expect(without).toEqual([])
  })

  it('names tests that are there', () => {
    const gone = rows.flatMap(namedFiles).filter(name => !existsSync(folder + name))
    expect(gone).toEqual([])
  })
})
