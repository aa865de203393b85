/**
 * Bundles the `ringside` command, with everything it needs, into `dist/ringside.mjs` or the file named; without a name
 * also the extension, into `dist/extension.cjs`, the scripts of its pages, into `dist/pages/`, and its language server
 * with the client that starts it, into `dist/language-server.mjs` and `dist/language-client.cjs`; and the same for a
 * browser, into `dist/web/`.
 */

import { chmod } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { type BuildOptions, build, type Plugin } from 'esbuild'
import manifest from '../package.json' with { type: 'json' }
import { embedIced } from './embed-iced.ts'
import { packageFiles } from './package/files.ts'
import { browserPlatform, webPlatform } from './web-platform.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const outfile = process.argv[2] ?? `${root}dist/ringside.mjs`

/** Views that are webviews: a folder of `src/extension/` with a `page.tsx` each. */
const PAGES = ['translation', 'screen', 'memory-picture', 'rings']

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

/** A file of its own, loaded when it is asked for: it is ten times as large as the rest of the extension. */
const clientApart: Plugin = {
  name: 'language-client-apart',
  setup({ onResolve }) {
    onResolve({ filter: /\/language\/client\.ts$/ }, () => ({ path: './language-client.cjs', external: true }))
  },
}

await build({ ...program, entryPoints: ['src/cli/main.ts'], outfile, sourcemap: 'linked' })
await chmod(outfile, 0o755)

if (process.argv[2] === undefined) {
  await build({ ...program, entryPoints: ['src/language/main.ts'], outfile: 'dist/language-server.mjs', minify: true })
  const inExtensionHost = {
    absWorkingDir: root,
    bundle: true,
    platform: 'node',
    target: 'node20',
    // What VS Code loads in every version; `vscode` exists in its extension host only, and for `require` only.
    format: 'cjs',
    external: ['vscode'],
    supported: { 'dynamic-import': false },
    logLevel: 'info',
  } satisfies BuildOptions
  await build({
    ...inExtensionHost,
    entryPoints: ['src/extension/main.ts'],
    outfile: 'dist/extension.cjs',
    plugins: [clientApart],
  })
  await build({
    ...inExtensionHost,
    entryPoints: ['src/language/client.ts'],
    outfile: 'dist/language-client.cjs',
    minify: true,
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
  const web = webPlatform(root)
  const guests = manifest.files.filter(pattern => pattern.startsWith('guests/'))
  await build({ ...web, entryPoints: ['src/web/main.ts'], outfile: 'dist/web/adapter.js', format: 'iife' })
  await build({
    ...browserPlatform(root),
    entryPoints: ['src/language/web/main.ts'],
    outfile: 'dist/web/language-server.js',
    format: 'iife',
  })
  await build({
    ...web,
    entryPoints: ['src/extension/web/main.ts'],
    // VS Code loads it as CommonJS; in a package of type module its name has to say so. The language client is in it too:
    // in a browser an extension can require nothing but `vscode`.
    outfile: 'dist/web/extension.cjs',
    format: 'cjs',
    external: ['vscode'],
    define: { ...web.define, PACKAGED_SOURCES: JSON.stringify(packageFiles(root, guests)) },
  })
}
