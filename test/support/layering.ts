/** The order of the folders in `src/` (docs/architecture.md): imports point down only. */

/** From top to bottom; a folder may import from those after it. */
export const LAYERS = [
  'extension',
  'language',
  'cli',
  'web',
  'adapter',
  'protocol',
  'gdb',
  'debugger',
  'guestos',
  'inspect',
  'machine',
  'boot',
  'symbols',
  'devices',
  'backends',
  'vmm',
  'kvm',
  'engine',
  'x86',
]

/** Folders that every layer may use and that use no layer. */
const FOUNDATIONS = ['util']

/** Folders that may import less than what lies below them. */
const ONLY: Record<string, readonly string[]> = {
  extension: ['protocol'],
  language: ['x86'],
  // Its own types, and the names of what it shows.
  protocol: ['inspect'],
  // The host's side of devices: it knows no guest.
  backends: [],
  util: [],
}

/** Folders that must not know another one although it lies below. */
const NEVER: Record<string, readonly string[]> = {
  boot: ['devices'],
  symbols: ['devices', 'vmm', 'kvm', 'engine'],
  guestos: ['machine', 'vmm', 'kvm', 'engine'],
  inspect: ['machine'],
  debugger: ['gdb'],
  devices: ['kvm', 'engine'],
}

/** Its types are the vocabulary between layers, for whoever lies above. */
const INTERFACE = 'src/engine/processor.ts'

/** The clients of the language server, which the extension starts; of the rest it knows nothing. */
const LANGUAGE_CLIENTS = ['src/language/client.ts', 'src/language/web/client.ts']

/** Packages that only some folders may import. */
const PACKAGES: { readonly pattern: RegExp; readonly folders: readonly string[] }[] = [
  { pattern: /^vscode$/, folders: ['extension', 'language'] },
  { pattern: /^vscode-languageserver/, folders: ['language'] },
  { pattern: /^vscode-languageclient/, folders: ['extension', 'language'] },
  { pattern: /^@vscode\/debug/, folders: ['adapter', 'cli', 'protocol'] },
]

export interface Import {
  /** What stands between the quotes. */
  readonly specifier: string
  readonly typeOnly: boolean
}

/** Every import, re-export and dynamic import of a TypeScript source. */
export function importsOf(source: string): Import[] {
  const withoutComments = source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
  const statements = /^\s*(?:import|export)\s+(type\s)?(?:[^'"`;]*?\sfrom\s*)?['"]([^'"]+)['"]/gm
  const dynamic = /\bimport\(\s*['"]([^'"]+)['"]\s*\)/g
  return [
    ...[...withoutComments.matchAll(statements)].map(match => ({
      specifier: match[2],
      typeOnly: match[1] !== undefined,
    })),
    ...[...withoutComments.matchAll(dynamic)].map(match => ({ specifier: match[1], typeOnly: false })),
  ]
}

/** Why `file` (such as `src/vmm/vm.ts`) may not contain `imported`, or undefined when it may. */
export function violation(file: string, imported: Import): string | undefined {
  const from = layerOf(file)
  if (from === undefined) return `${file}: folder is not in the list of layers`
  if (!imported.specifier.startsWith('.')) return packageViolation(file, from, imported.specifier)
  if (/^(\.\.\/)+package\.json$/.test(imported.specifier)) return undefined
  const target = new URL(imported.specifier, `file:///${file}`).pathname.slice(1)
  const to = layerOf(target)
  if (to === undefined) return `${file}: ${imported.specifier} leads out of src/`
  if (to === from || FOUNDATIONS.includes(to)) return undefined
  if (imported.typeOnly && target === INTERFACE && LAYERS.indexOf(to) > LAYERS.indexOf(from)) return undefined
  if (from === 'extension' && LANGUAGE_CLIENTS.includes(target)) return undefined
  if (!isBelow(from, to)) return `${file}: ${from}/ may not import from ${to}/`
  if (from === 'protocol' && !imported.typeOnly) return `${file}: protocol/ takes nothing but types from ${to}/`
  return undefined
}

function isBelow(from: string, to: string): boolean {
  const only = ONLY[from]
  if (only !== undefined) return only.includes(to)
  return LAYERS.indexOf(to) > LAYERS.indexOf(from) && !NEVER[from]?.includes(to)
}

function packageViolation(file: string, from: string, specifier: string): string | undefined {
  const rule = PACKAGES.find(({ pattern }) => pattern.test(specifier))
  if (rule === undefined || rule.folders.includes(from)) return undefined
  return `${file}: ${from}/ may not import the package ${specifier}`
}

function layerOf(path: string): string | undefined {
  const folder = /^src\/([^/]+)\//.exec(path)?.[1]
  return folder !== undefined && [...LAYERS, ...FOUNDATIONS].includes(folder) ? folder : undefined
}
