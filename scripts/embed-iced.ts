/**
 * iced-x86's package for Node reads its WebAssembly from a file beside it, which a bundle no longer has there.
 * This esbuild plugin replaces that read by the bytes themselves, so that a bundle runs from any directory, and in a
 * browser.
 */

import { readFile } from 'node:fs/promises'
import type { Plugin } from 'esbuild'

/** The two lines of `iced_x86.js` that find and read the file. */
const FILE_READ =
  /const path = require\('path'\)\.join\(__dirname, '(iced_x86_bg\.wasm)'\);\s*const bytes = require\('fs'\)\.readFileSync\(path\);/

/** The line that takes from Node what browsers have too. */
const TEXT_CODECS = /(const \{ TextDecoder, TextEncoder \} = )require\(`util`\);/

/** `source` of `iced_x86.js` with its file read replaced by a `require` that esbuild's binary loader resolves. */
export function withoutNode(source: string): string {
  if (!FILE_READ.test(source) || !TEXT_CODECS.test(source)) {
    throw new Error('iced_x86.js does not use Node as expected: look at its first and last lines, adapt embed-iced.ts')
  }
  return source.replace(FILE_READ, "const bytes = require('./$1');").replace(TEXT_CODECS, '$1globalThis;')
}

export const embedIced: Plugin = {
  name: 'embed-iced',
  setup(build) {
    build.onLoad({ filter: /[\\/]iced_x86\.js$/ }, async ({ path }) => ({
      contents: withoutNode(await readFile(path, 'utf8')),
      loader: 'js',
    }))
    build.onLoad({ filter: /[\\/]iced_x86_bg\.wasm$/ }, async ({ path }) => ({
      contents: await readFile(path),
      loader: 'binary',
    }))
  },
}
