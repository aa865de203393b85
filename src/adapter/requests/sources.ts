/** Modules, source files and places in them where breakpoints can be. */

import { readFileSync, statSync } from 'node:fs'
import type { DebugProtocol } from '@vscode/debugprotocol'
import type { SymbolModule } from '../../debugger/symbol-book.ts'
import { hex } from '../../protocol/address.ts'
import { Fields } from '../../protocol/fields.ts'
import type { Progress } from '../progress.ts'
import { COUNTS, RequestError, type RequestFamily } from '../request.ts'
import type { Session } from '../session.ts'

const LARGEST_SOURCE = 16 * 2 ** 20
const MOST_LOCATIONS = 10_000

export const sourceRequests: RequestFamily = {
  modules(session, args) {
    const fields = new Fields('modules', args ?? {})
    const all = session.debugger.symbols.modules
    const start = fields.optionalInteger('startModule', COUNTS) ?? 0
    const count = fields.optionalInteger('moduleCount', COUNTS) || all.length
    return { modules: all.slice(start, start + count).map(moduleBody), totalModules: all.length }
  },

  async loadedSources(session, _args, _afterResponse, progress) {
    return { sources: await loadedSources(session, progress) }
  },

  /** Only of files that debugging information names: the adapter is no file server. */
  async source(session, args, _afterResponse, progress) {
    const fields = new Fields('source', args)
    const path = new Fields('source: "source"', fields.raw('source') ?? {}).optionalString('path')
    if (path === undefined) throw new RequestError('source: a source with a path is wanted')
    if (!(await loadedSources(session, progress)).some(source => source.path === path))
      throw new RequestError(`"${path}" is no source of the guest's programs`)
    if (statSync(path).size > LARGEST_SOURCE) throw new RequestError(`"${path}" is too large to be a source`)
    return { content: readFileSync(path, 'utf8') }
  },

  breakpointLocations(session, args) {
    const fields = new Fields('breakpointLocations', args)
    const path = new Fields('breakpointLocations: "source"', fields.raw('source') ?? {}).optionalString('path')
    const line = fields.integer('line', COUNTS)
    const endLine = fields.optionalInteger('endLine', COUNTS) ?? line
    if (path === undefined) return { breakpoints: [] }
    const compiled = session.sources.compiled(path)
    const places = session.debugger.symbols.files.flatMap(file => file.statementsIn(compiled, line, endLine))
    const byPlace = new Map(places.map(place => [`${place.line}:${place.column}`, place]))
    const breakpoints = [...byPlace.values()]
      .sort((a, b) => a.line - b.line || a.column - b.column)
      .slice(0, MOST_LOCATIONS)
      .map(place => ({ line: place.line, ...(place.column === 0 ? {} : { column: place.column }) }))
    return { breakpoints }
  },
}

async function loadedSources(session: Session, progress: Progress): Promise<DebugProtocol.Source[]> {
  const sources = new Map<string, DebugProtocol.Source>()
  const { files } = session.debugger.symbols
  for (const [index, file] of files.entries()) {
    const names = new Set<string>()
    for (const some of file.sourceFilesByUnit()) {
      await progress.turn('Listing sources', index / files.length)
      for (const name of some) names.add(name)
    }
    for (const name of [...names].sort()) {
      const source = session.sources.source(name, file.path)
      if (source?.path !== undefined) sources.set(source.path, source)
    }
  }
  return [...sources.values()]
}

function moduleBody({ name, role, file, message }: SymbolModule): DebugProtocol.Module {
  const status = file === undefined ? 'symbols' : file.hasDebugInfo ? 'debugging information' : 'symbols only'
  return {
    id: name,
    name: name.split('/').at(-1) ?? name,
    ...(file === undefined ? {} : { path: file.path, symbolFilePath: file.path }),
    ...(file?.buildId === undefined ? {} : { version: file.buildId }),
    isUserCode: role === 'program',
    symbolStatus: message === undefined ? status : `${status}; ${message}`,
    ...(file === undefined || file.slide === 0n ? {} : { addressRange: `slide ${signed(file.slide)}` }),
  }
}

const signed = (value: bigint): string => (value < 0n ? `-${hex(-value)}` : hex(value))
