/**
 * Bundles the `ringside` command, with everything it needs, into `dist/ringside.mjs` or the file named; without a name
 * also the extension, into `dist/extension.cjs`, the scripts of its pages, into `dist/pages/`, and its language server,
 * into `dist/language-server.mjs`.
 */

import { chmod } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { type BuildOptions, build } from 'esbuild'
import { embedIced } from './embed-iced.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const outfile = process.argv[2] ?? `${root}dist/ringside.mjs`

/** Views that are webviews: a folder of `src/extension/` with a `page.tsx` each. */
const PAGES = ['translation']

/** What the programs that run under Node have in common. */
const program = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  // The libraries of both protocols are CommonJS and require Node's modules, which an ES module has no `require` for.
  banner: {
    js: [
      "import { createRequire as ringsideCreateRequire } from 'node:module'",
      'const require = ringsideCreateRequire(import.meta.url)',
    ].join('\n'),
  },
  plugins: [embedIced],
  logLevel: 'info',
} satisfies BuildOptions

await build({ ...program, entryPoints: ['src/cli/main.ts'], outfile, sourcemap: 'linked' })
await chmod(outfile, 0o755)

if (process.argv[2] === undefined) {
  await build({ ...program, entryPoints: ['src/language/main.ts'], outfile: 'dist/language-server.mjs', minify: true })
  await build({
    absWorkingDir: root,
    entryPoints: ['src/extension/main.ts'],
    outfile: 'dist/extension.cjs',
    bundle: true,
    platform: 'node',
    target: 'node20',
    // What VS Code loads in every version; `vscode` exists in its extension host only.
    format: 'cjs',
    external: ['vscode'],
    logLevel: 'info',
  })
  await build({
    absWorkingDir: root,
    entryPoints: PAGES.map(name => ({ in: `src/extension/${name}/page.tsx`, out: name })),
    outdir: 'dist/pages',
    bundle: true,
    minify: true,
    // A webview: the browser of VS Code.
    platform: 'browser',
    target: 'es2022',
    format: 'iife',
    logLevel: 'info',
  })
}
