/**
 * `npm run package`: the extension as `ringside-VERSION.vsix`, or as the file named. Made of a fresh build and of what
 * `files` in package.json lists.
 */

import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import manifest from '../package.json' with { type: 'json' }
import { packageFiles } from './package/files.ts'
import { vsix } from './package/vsix.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const output = resolve(process.argv[2] ?? `${root}${manifest.name}-${manifest.version}.vsix`)

execFileSync(process.execPath, [`${root}scripts/build.ts`], { stdio: 'inherit' })
const files = packageFiles(root, manifest.files)
const bytes = vsix(root, manifest, files)
writeFileSync(output, bytes)
process.stdout.write(`${output}: ${files.length} files, ${(bytes.length / 1024).toFixed(0)} KiB\n`)
