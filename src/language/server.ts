/** The language server: requests of the protocol, answered by `features/` over one workspace. */

import {
  type Connection,
  type Diagnostic,
  ErrorCodes,
  type InitializeParams,
  type InitializeResult,
  ResponseError,
  TextDocumentSyncKind,
} from 'vscode-languageserver'
import { TextDocument } from 'vscode-languageserver-textdocument'
import { instructionFacts } from './facts/instruction-facts.ts'
import { assemble } from './features/assembler.ts'
import { incomingCalls, outgoingCalls, prepareCalls } from './features/calls.ts'
import { check } from './features/checks.ts'
import { completion, resolveCompletion } from './features/completion.ts'
import { hover } from './features/hover.ts'
import { type Encoded, inlayHints, parseListing } from './features/listing.ts'
import { definition, highlights, references } from './features/navigation.ts'
import { documentSymbols, foldingRanges, workspaceSymbols } from './features/outline.ts'
import { RenameError, rename, renameable } from './features/rename.ts'
import type { SourceDocument } from './index/source-document.ts'
import { Workspace } from './index/workspace.ts'
import { WorkspaceFiles } from './index/workspace-files.ts'
import { parseOptions, SETTINGS, type ServerOptions } from './options.ts'

/** After the last keystroke. */
const CHECK_AFTER_MS = 300

interface At {
  readonly textDocument: { readonly uri: string }
  readonly position: { readonly line: number; readonly character: number }
}

/** Serves one client; the connection listens from here on. */
export function serve(connection: Connection): void {
  new Server(connection).listen()
}

class Server {
  readonly #connection: Connection
  readonly #files = new WorkspaceFiles()
  readonly #workspace = new Workspace(this.#files)
  readonly #texts = new Map<string, TextDocument>()
  readonly #pending = new Map<string, { timer: NodeJS.Timeout; abort: AbortController }>()
  /** Of the version that was assembled. */
  readonly #listings = new Map<string, { version: number; encoded: ReadonlyMap<number, Encoded> }>()
  #options: ServerOptions = parseOptions(undefined)
  #canRefreshHints = false

  constructor(connection: Connection) {
    this.#connection = connection
  }

  listen(): void {
    const connection = this.#connection
    connection.onInitialize(params => this.#initialize(params))
    // The tables are made before somebody waits for them.
    connection.onInitialized(() => void setImmediate(() => instructionFacts('nop')))
    connection.onShutdown(() => {
      for (const uri of this.#pending.keys()) this.#cancel(uri)
    })
    this.#listenToFiles()
    this.#answer()
    connection.listen()
  }

  #initialize(params: InitializeParams): InitializeResult {
    this.#options = parseOptions(params.initializationOptions)
    this.#files.setFolders((params.workspaceFolders ?? []).map(({ uri }) => uri))
    this.#canRefreshHints = params.capabilities.workspace?.inlayHint?.refreshSupport ?? false
    return {
      capabilities: {
        textDocumentSync: { openClose: true, change: TextDocumentSyncKind.Incremental },
        completionProvider: { triggerCharacters: ['%', '.', '#'], resolveProvider: true },
        hoverProvider: true,
        definitionProvider: true,
        referencesProvider: true,
        documentHighlightProvider: true,
        callHierarchyProvider: true,
        renameProvider: { prepareProvider: true },
        documentSymbolProvider: true,
        workspaceSymbolProvider: true,
        foldingRangeProvider: true,
        inlayHintProvider: true,
      },
      serverInfo: { name: 'ringside' },
    }
  }

  #listenToFiles(): void {
    const connection = this.#connection
    connection.onDidOpenTextDocument(({ textDocument: { uri, languageId, text, version } }) => {
      this.#texts.set(uri, TextDocument.create(uri, languageId, version, text))
      this.#workspace.open(uri, languageId === 'nasm' ? 'nasm' : 'gas', text, version)
      this.#checkSoon(uri)
    })
    connection.onDidChangeTextDocument(({ textDocument: { uri, version }, contentChanges }) => {
      const text = this.#texts.get(uri)
      if (text === undefined) return
      this.#workspace.change(uri, TextDocument.update(text, contentChanges, version).getText(), version)
      const document = this.#workspace.opened(uri)
      const related = document === undefined ? [] : this.#workspace.together(document)
      for (const other of related) if (this.#texts.has(other.uri)) this.#checkSoon(other.uri)
    })
    connection.onDidCloseTextDocument(({ textDocument: { uri } }) => {
      this.#cancel(uri)
      this.#texts.delete(uri)
      this.#listings.delete(uri)
      this.#workspace.close(uri)
      connection.sendDiagnostics({ uri, diagnostics: [] })
    })
    connection.onDidChangeWatchedFiles(({ changes }) => {
      for (const { uri } of changes) this.#workspace.forget(uri)
      for (const uri of this.#texts.keys()) this.#checkSoon(uri)
    })
    connection.onNotification(SETTINGS, (options: unknown) => {
      this.#options = parseOptions(options)
      for (const uri of this.#texts.keys()) this.#checkSoon(uri)
      this.#refreshHints()
    })
  }

  #answer(): void {
    const connection = this.#connection
    const workspace = this.#workspace
    connection.onCompletion(at =>
      this.#at(at, (document, line, column) => completion(workspace, document, line, column)),
    )
    connection.onCompletionResolve(resolveCompletion)
    connection.onHover(at => this.#at(at, (document, line, column) => hover(workspace, document, line, column)))
    connection.onDefinition(at =>
      this.#at(at, (document, line, column) => definition(workspace, document, line, column)),
    )
    connection.onReferences(at =>
      this.#at(at, (document, line, column) =>
        references(workspace, document, line, column, at.context.includeDeclaration),
      ),
    )
    connection.onDocumentHighlight(at =>
      this.#at(at, (document, line, column) => highlights(workspace, document, line, column)),
    )
    const { callHierarchy } = connection.languages
    callHierarchy.onPrepare(at =>
      this.#at(at, (document, line, column) => prepareCalls(workspace, document, line, column)),
    )
    callHierarchy.onIncomingCalls(({ item }) => {
      const document = workspace.known(item.uri)
      return document === undefined ? null : incomingCalls(workspace, document, item)
    })
    callHierarchy.onOutgoingCalls(({ item }) => {
      const document = workspace.known(item.uri)
      return document === undefined ? null : outgoingCalls(workspace, document, item)
    })
    connection.onPrepareRename(at => this.#at(at, renameable))
    connection.onRenameRequest(at => {
      try {
        return this.#at(at, (document, line, column) => rename(workspace, document, line, column, at.newName))
      } catch (error) {
        if (error instanceof RenameError) return new ResponseError(ErrorCodes.InvalidRequest, error.message)
        throw error
      }
    })
    connection.onDocumentSymbol(({ textDocument }) => this.#with(textDocument.uri, documentSymbols))
    connection.onWorkspaceSymbol(({ query }) => workspaceSymbols(workspace, query))
    connection.onFoldingRanges(({ textDocument }) => this.#with(textDocument.uri, foldingRanges))
    connection.languages.inlayHint.on(({ textDocument, range }) => {
      const listing = this.#listings.get(textDocument.uri)
      return this.#with(textDocument.uri, document =>
        listing === undefined || listing.version !== document.version || !this.#options.encodedBytes
          ? []
          : inlayHints(document, listing.encoded, range.start.line, range.end.line),
      )
    })
  }

  #with<T>(uri: string, answer: (document: SourceDocument) => T): T | null {
    const document = this.#workspace.opened(uri)
    return document === undefined ? null : answer(document)
  }

  #at<T>(
    { textDocument, position }: At,
    answer: (document: SourceDocument, line: number, column: number) => T | undefined,
  ): T | null {
    return this.#with(textDocument.uri, document => answer(document, position.line, position.character) ?? null)
  }

  #cancel(uri: string): void {
    const pending = this.#pending.get(uri)
    if (pending === undefined) return
    clearTimeout(pending.timer)
    pending.abort.abort()
    this.#pending.delete(uri)
  }

  #checkSoon(uri: string): void {
    this.#cancel(uri)
    const abort = new AbortController()
    const timer = setTimeout(() => {
      this.#check(uri, abort).catch((error: unknown) =>
        this.#connection.console.error(
          `${uri}: not checked: ${error instanceof Error ? error.message : String(error)}`,
        ),
      )
    }, CHECK_AFTER_MS)
    this.#pending.set(uri, { timer, abort })
  }

  async #check(uri: string, abort: AbortController): Promise<void> {
    const document = this.#workspace.opened(uri)
    if (document === undefined) return
    const { version } = document
    const send = (diagnostics: Diagnostic[]): void => {
      if (!abort.signal.aborted) void this.#connection.sendDiagnostics({ uri, version, diagnostics })
    }
    // A file that others include means something only there.
    const alone = this.#options.trusted && this.#options.assembler && !this.#workspace.isIncluded(document)
    const assembled = alone ? await assemble(document, abort.signal) : undefined
    if (abort.signal.aborted || document.version !== version) return
    send(assembled?.diagnostics ?? check(this.#workspace, document))
    if (assembled?.listing === undefined) return
    this.#listings.set(uri, { version, encoded: parseListing(assembled.listing, document.dialect) })
    this.#refreshHints()
  }

  #refreshHints(): void {
    if (this.#canRefreshHints)
      this.#connection.languages.inlayHint
        .refresh()
        .catch((error: unknown) =>
          this.#connection.console.warn(
            `hints not refreshed: ${error instanceof Error ? error.message : String(error)}`,
          ),
        )
  }
}
