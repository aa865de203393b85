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
import type { Assembled } from './features/assembler.ts'
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
import type { WorkspaceFiles } from './index/workspace-files.ts'
import { parseOptions, SETTINGS, type ServerOptions } from './options.ts'

/** After the last keystroke. */
const CHECK_AFTER_MS = 300

interface At {
  readonly textDocument: { readonly uri: string }
  readonly position: { readonly line: number; readonly character: number }
}

/** What is another thing on a machine and in a browser. */
export interface Surroundings {
  readonly files: WorkspaceFiles
  /** What an assembler says about a source, undefined when it has nothing to say; where none can run there is none. */
  assemble?(document: SourceDocument, signal: AbortSignal): Promise<Assembled | undefined>
}

/** What the surroundings may tell a server. */
export interface LanguageServer {
  /** Files were made, changed or removed outside of the editor. */
  filesChanged(uris: readonly string[]): void
}

/** Serves one client; the connection listens from here on. */
export function serve(connection: Connection, surroundings: Surroundings): LanguageServer {
  const server = new Server(connection, surroundings)
  server.listen()
  return server
}

class Server implements LanguageServer {
  readonly #connection: Connection
  readonly #surroundings: Surroundings
  readonly #workspace: Workspace
  readonly #texts = new Map<string, TextDocument>()
  readonly #pending = new Map<string, { timer: ReturnType<typeof setTimeout>; abort: AbortController }>()
  /** Of the version that was assembled. */
  readonly #listings = new Map<string, { version: number; encoded: ReadonlyMap<number, Encoded> }>()
  #options: ServerOptions = parseOptions(undefined)
  #folders: readonly string[] = []
  #canFollowFolders = false
  #canRefreshHints = false

  constructor(connection: Connection, surroundings: Surroundings) {
    this.#connection = connection
    this.#surroundings = surroundings
    this.#workspace = new Workspace(surroundings.files)
  }

  listen(): void {
    const connection = this.#connection
    connection.onInitialize(params => this.#initialize(params))
    connection.onInitialized(() => {
      if (this.#canFollowFolders) this.#followFolders()
      // The tables are made before somebody waits for them.
      setTimeout(() => instructionFacts('nop'))
    })
    connection.onShutdown(() => {
      for (const uri of this.#pending.keys()) this.#cancel(uri)
    })
    this.#listenToFiles()
    this.#answer()
    connection.listen()
  }

  filesChanged(uris: readonly string[]): void {
    for (const uri of uris) this.#workspace.forget(uri)
    this.#checkAllSoon()
  }

  #initialize(params: InitializeParams): InitializeResult {
    this.#options = parseOptions(params.initializationOptions)
    this.#setFolders((params.workspaceFolders ?? []).map(({ uri }) => uri))
    this.#canFollowFolders = params.capabilities.workspace?.workspaceFolders ?? false
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
        workspace: { workspaceFolders: { supported: true, changeNotifications: true } },
      },
      serverInfo: { name: 'ringside' },
    }
  }

  #setFolders(uris: readonly string[]): void {
    this.#folders = uris
    this.#surroundings.files.setFolders(uris)
    this.#workspace.forgetAll()
  }

  #followFolders(): void {
    this.#connection.workspace.onDidChangeWorkspaceFolders(({ added, removed }) => {
      const gone = new Set(removed.map(({ uri }) => uri))
      this.#setFolders([...this.#folders.filter(uri => !gone.has(uri)), ...added.map(({ uri }) => uri)])
      this.#checkAllSoon()
    })
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
    connection.onDidChangeWatchedFiles(({ changes }) => this.filesChanged(changes.map(({ uri }) => uri)))
    connection.onNotification(SETTINGS, (options: unknown) => {
      this.#options = parseOptions(options)
      this.#checkAllSoon()
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

  #checkAllSoon(): void {
    for (const uri of this.#texts.keys()) this.#checkSoon(uri)
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
    const assembled = alone ? await this.#surroundings.assemble?.(document, abort.signal) : undefined
    if (abort.signal.aborted || document.version !== version) return
    const diagnostics = assembled?.diagnostics ?? check(this.#workspace, document)
    // When they have come it is checked again.
    if (!this.#surroundings.files.awaited) send(diagnostics)
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
