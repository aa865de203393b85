/** Memory and code of a guest as documents that can be read: for when no Hex Editor is installed. */

import * as vscode from 'vscode'
import { addressIn, hexDump, type InstructionText, listing } from './memory-text.ts'
import { members } from './session-messages.ts'
import type { MachineState, SessionWatch } from './session-watch.ts'

const SCHEME = 'ringside-memory'
const HEX_EDITOR = 'ms-vscode.hexeditor'
const BYTES = 4096
const INSTRUCTIONS = 100

type Stopped = Extract<MachineState, { kind: 'stopped' }>
type Instruction = InstructionText & {
  readonly location?: { readonly path?: string }
  readonly line?: number
}

export class MemoryDocuments implements vscode.TextDocumentContentProvider, vscode.Disposable {
  readonly onDidChange: vscode.Event<vscode.Uri>

  readonly #changed = new vscode.EventEmitter<vscode.Uri>()
  readonly #watch: SessionWatch
  readonly #disposable: vscode.Disposable

  constructor(watch: SessionWatch) {
    this.#watch = watch
    this.onDidChange = this.#changed.event
    this.#disposable = vscode.Disposable.from(
      this.#changed,
      vscode.workspace.registerTextDocumentContentProvider(SCHEME, this),
      watch.onDidChange(state => {
        if (state.kind !== 'stopped') return
        for (const { uri } of vscode.workspace.textDocuments) if (uri.scheme === SCHEME) this.#changed.fire(uri)
      }),
    )
  }

  /** @param reference `memoryReference` of DAP. Rejects when the guest does not stand still. */
  async openMemory(reference: string): Promise<void> {
    const { session } = this.#stopped()
    if (vscode.extensions.getExtension(HEX_EDITOR) !== undefined) {
      // The command of VS Code's own variables view.
      const subject = { sessionId: session.id, variable: { memoryReference: reference, name: reference } }
      await vscode.commands.executeCommand('workbench.debug.viewlet.action.viewMemory', subject)
      return
    }
    await this.#open('memory', reference)
  }

  /** Opens the source line of an address, or the disassembly from there on. */
  async openCode(address: string): Promise<void> {
    const [first] = await this.#disassemble(address, 1)
    const { location, line } = first ?? {}
    if (location?.path === undefined || line === undefined) return this.#open('code', address)
    const place = new vscode.Range(line - 1, 0, line - 1, 0)
    await vscode.window.showTextDocument(sourceUri(location.path), { selection: place, preview: true })
  }

  async provideTextDocumentContent({ path, query }: vscode.Uri): Promise<string> {
    try {
      if (path.endsWith('.asm')) return listing(await this.#disassemble(query, INSTRUCTIONS))
      const { session } = this.#stopped()
      const body = members(await session.request('readMemory', { memoryReference: query, count: BYTES }))
      const bytes = typeof body.data === 'string' ? Buffer.from(body.data, 'base64') : Buffer.alloc(0)
      const missing = bytes.length < BYTES ? `${BYTES - bytes.length} bytes behind are not mapped\n` : ''
      return `${hexDump(bytes, addressIn(query))}${missing}`
    } catch (error) {
      return `${query}: ${error instanceof Error ? error.message : String(error)}\n`
    }
  }

  dispose(): void {
    this.#disposable.dispose()
  }

  async #open(kind: 'memory' | 'code', reference: string): Promise<void> {
    const name = `${reference.replaceAll(/[:=]/g, ' ')}.${kind === 'code' ? 'asm' : 'txt'}`
    const uri = vscode.Uri.from({ scheme: SCHEME, path: name, query: reference })
    await vscode.window.showTextDocument(await vscode.workspace.openTextDocument(uri), { preview: true })
  }

  async #disassemble(address: string, count: number): Promise<readonly Instruction[]> {
    const { session } = this.#stopped()
    const args = { memoryReference: address, instructionCount: count, resolveSymbols: true }
    const { instructions }: { instructions: readonly Instruction[] } = await session.request('disassemble', args)
    return instructions
  }

  #stopped(): Stopped {
    const { state } = this.#watch
    if (state.kind === 'stopped') return state
    throw new Error(state.kind === 'none' ? 'no guest is being debugged' : 'the guest is running; pause it first')
  }
}

/** Where the workspace is remote VS Code has made URIs of the paths in what the adapter answers. */
const sourceUri = (path: string): vscode.Uri =>
  /^[a-z][a-z0-9+.-]*:\/\//i.test(path) ? vscode.Uri.parse(path) : vscode.Uri.file(path)
