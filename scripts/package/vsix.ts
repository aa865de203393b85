/**
 * The format of VS Code's extension packages: a ZIP file in the Open Packaging Conventions (ECMA-376, part 2), with a
 * manifest of Visual Studio's in front and the extension itself under `extension/`. The tool `vsce` makes it too; it
 * brings the client of a marketplace, with native modules, which building a file has no use for.
 */

import { readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { type Zippable, zipSync } from 'fflate'

export interface ExtensionManifest {
  readonly name: string
  readonly displayName: string
  readonly description: string
  readonly version: string
  readonly publisher: string
  readonly categories: readonly string[]
  readonly extensionKind: readonly string[]
  readonly engines: { readonly vscode: string }
}

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.cjs': 'application/javascript',
  '.css': 'text/css',
  '.js': 'application/javascript',
  '.json': 'application/json',
  '.md': 'text/markdown',
  '.mjs': 'application/javascript',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.vsixmanifest': 'text/xml',
}
const OTHER_CONTENT = 'application/octet-stream'
/** Times in the package, so that the same files make the same bytes; ZIP's begin in 1980. */
const TIME = new Date(1980, 0, 1)

/** @param files relative to `root`, with `/`. */
export function vsix(root: string, manifest: ExtensionManifest, files: readonly string[]): Uint8Array {
  const text = (content: string): Uint8Array => new TextEncoder().encode(content)
  const entries: Zippable = {
    'extension.vsixmanifest': text(vsixManifest(manifest, files)),
    '[Content_Types].xml': text(contentTypes(files)),
  }
  for (const file of files) entries[`extension/${file}`] = readFileSync(join(root, file))
  return zipSync(entries, { level: 9, mtime: TIME })
}

function vsixManifest(manifest: ExtensionManifest, files: readonly string[]): string {
  const { name, displayName, description, version, publisher, categories, extensionKind, engines } = manifest
  const asset = (type: string, file: string): string =>
    files.includes(file)
      ? `\n    <Asset Type="Microsoft.VisualStudio.${type}" Path="extension/${file}" Addressable="true" />`
      : ''
  return `<?xml version="1.0" encoding="utf-8"?>
<PackageManifest Version="2.0.0" xmlns="http://schemas.microsoft.com/developer/vsx-schema/2011">
  <Metadata>
    <Identity Language="en-US" Id="${xml(name)}" Version="${xml(version)}" Publisher="${xml(publisher)}" />
    <DisplayName>${xml(displayName)}</DisplayName>
    <Description xml:space="preserve">${xml(description)}</Description>
    <Categories>${xml(categories.join(','))}</Categories>
    <Properties>
      <Property Id="Microsoft.VisualStudio.Code.Engine" Value="${xml(engines.vscode)}" />
      <Property Id="Microsoft.VisualStudio.Code.ExtensionKind" Value="${xml(extensionKind.join(','))}" />
    </Properties>
    <License>extension/LICENSE</License>
  </Metadata>
  <Installation><InstallationTarget Id="Microsoft.VisualStudio.Code" /></Installation>
  <Dependencies />
  <Assets>${asset('Code.Manifest', 'package.json')}${asset('Services.Content.Details', 'README.md')}${asset('Services.Content.Changelog', 'CHANGELOG.md')}${asset('Services.Content.License', 'LICENSE')}
  </Assets>
</PackageManifest>
`
}

/** By extension; a file without one is listed by its name. */
function contentTypes(files: readonly string[]): string {
  const extensions = [...new Set(['.vsixmanifest', ...files.map(file => extname(file))])].filter(end => end !== '')
  const defaults = extensions.map(
    end => `\n  <Default Extension="${xml(end)}" ContentType="${CONTENT_TYPES[end] ?? OTHER_CONTENT}" />`,
  )
  const overrides = files
    .filter(file => extname(file) === '')
    .map(file => `\n  <Override PartName="/extension/${xml(file)}" ContentType="text/plain" />`)
  return `<?xml version="1.0" encoding="utf-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">${[...defaults, ...overrides].join('')}
</Types>
`
}

function xml(text: string): string {
  const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
  return text.replace(/[&<>"]/g, character => escapes[character] ?? character)
}
