/** Bundles the `ringside` command, with everything it needs, into `dist/ringside.mjs` or the file named. */

import { chmod } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { embedIced } from './embed-iced.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const outfile = process.argv[2] ?? `${root}dist/ringside.mjs`

await build({
  absWorkingDir: root,
  entryPoints: ['src/cli/main.ts'],
  outfile,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  sourcemap: 'linked',
  // The debug adapter library is CommonJS and requires Node's modules, which an ES module has no `require` for.
  banner: {
    js: [
      "import { createRequire as ringsideCreateRequire } from 'node:module'",
      'const require = ringsideCreateRequire(import.meta.url)',
    ].join('\n'),
  },
  plugins: [embedIced],
  logLevel: 'info',
})
await chmod(outfile, 0o755)
