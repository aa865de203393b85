/** How programs are bundled for a browser. */

import type { BuildOptions } from 'esbuild'
import { embedIced } from './embed-iced.ts'

const OURS = ['crypto', 'zlib', 'worker_threads', 'v8']
const OTHERS = ['buffer', 'dgram', 'dns', 'events', 'fs', 'net', 'os', 'path', 'process', 'stream', 'url', 'util']

/** For a program that uses nothing of Node.js. @param root of the project, with a slash at its end */
export const browserPlatform = (root: string) =>
  ({
    absWorkingDir: root,
    bundle: true,
    minify: true,
    platform: 'browser',
    target: 'es2022',
    plugins: [embedIced],
    logLevel: 'info',
  }) satisfies BuildOptions

/** For a program for Node.js: each of its modules becomes another one. @param root as above */
export function webPlatform(root: string): BuildOptions {
  const others = OTHERS.flatMap(name => [name, `node:${name}`].map(from => [from, `@jspm/core/nodelibs/${name}`]))
  const ours = OURS.map(name => [`node:${name}`, `${root}src/web/node/${name.replaceAll('_', '-')}.ts`])
  return {
    ...browserPlatform(root),
    alias: Object.fromEntries([...others, ...ours]),
    inject: [`${root}src/web/node/globals.ts`],
    // Only what is refused in a browser asks where its own file is.
    define: { 'import.meta.url': '"file:///ringside.js"' },
  }
}
