/**
 * `npm run test:host`: the extension as it is packaged, tested from inside of the extension host of a real VS Code
 * workbench, in a folder that is trusted and in one that is not. Exit status 1 when a test failed, 77 when none could
 * be run here. Arguments choose: `npm run test:host -- trusted "each view"` for a suite and for names of tests.
 */

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import ringside from '../../package.json' with { type: 'json' }
import { vsix } from '../../scripts/package/vsix.ts'
import { installTools, NotInstalled } from '../e2e/install.ts'
import { writeProofs, writeWorkspace } from './workspace.ts'

const STATUS_SKIPPED = 77
const root = fileURLToPath(new URL('../..', import.meta.url))
const SUITES = ['trusted', 'untrusted'] as const
const [onlySuite, onlyNames] = process.argv.slice(2)

try {
  const tools = installTools()
  const work = mkdtempSync(join(tmpdir(), 'ringside-host-'))
  const extension = join(work, 'ringside.vsix')
  execFileSync(process.execPath, [join(root, 'scripts', 'package.ts'), extension], { stdio: 'pipe' })
  const proofs = writeProofs(work)
  let [passed, failed] = [0, 0]
  // Imports the browser's driver, which is there only now.
  const { runSuite } = await import('../e2e/run-suite.ts')
  for (const suite of SUITES.filter(each => onlySuite === undefined || each === onlySuite)) {
    process.stdout.write(`\nin a folder that is ${suite}\n`)
    const directory = join(work, suite)
    mkdirSync(directory)
    const folder = writeWorkspace(directory, suite, proofs)
    const tests = await packageTests(directory, suite)
    const results = await runSuite({
      tools,
      directory,
      suite,
      folder,
      extensions: [extension, tests],
      proofs,
      onlyNames,
    })
    passed += results.passed
    failed += results.failed
  }
  process.stdout.write(`\n${passed} passed, ${failed} failed\n`)
  if (failed > 0) {
    process.stdout.write(`logs and a picture of the end: ${work}\n`)
    process.exitCode = 1
  } else rmSync(work, { recursive: true, force: true, maxRetries: 5 })
} catch (error) {
  if (error instanceof NotInstalled) {
    process.stdout.write(`The tests were not run: ${error.message}\n`)
    process.exitCode = STATUS_SKIPPED
  } else {
    process.stderr.write(`The tests did not run: ${error instanceof Error ? (error.stack ?? error.message) : error}\n`)
    process.exitCode = 1
  }
}

/** As an extension of its own, which starts when the window has. */
async function packageTests(directory: string, suite: string): Promise<string> {
  await build({
    absWorkingDir: root,
    entryPoints: [`test/host/suite/${suite}.ts`],
    outfile: join(directory, 'tests.cjs'),
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    external: ['vscode'],
    logLevel: 'warning',
  })
  const manifest = {
    name: 'ringside-tests',
    displayName: 'Ringside: tests',
    description: 'Tests of Ringside in the extension host.',
    publisher: 'ringside',
    version: '0.0.1',
    categories: ['Other'],
    engines: { vscode: ringside.engines.vscode },
    main: './tests.cjs',
    activationEvents: ['onStartupFinished'],
    capabilities: { untrustedWorkspaces: { supported: true } },
    extensionKind: ['workspace'],
  }
  writeFileSync(join(directory, 'package.json'), JSON.stringify(manifest))
  const file = join(directory, 'tests.vsix')
  writeFileSync(file, vsix(directory, manifest, ['package.json', 'tests.cjs']))
  return file
}
