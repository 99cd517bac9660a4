import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

interface Diagnostic {
  readonly code: string
  readonly message: string
  readonly filename: string
  readonly labels: readonly { readonly span: { readonly line: number } }[]
}

/** What `npm run lint` lints. */
export const FOLDERS = ['src', 'console', 'tools', 'sdk', 'test', 'scripts', 'bench']

/** What the linter says of the project at `root`: place, rule and message. */
export function lint(root: string): string[] {
  const program = join(root, 'node_modules', 'oxlint', 'bin', 'oxlint')
  const args = [program, '--format', 'json', ...FOLDERS]
  const options = { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 } as const
  const { stdout, stderr, error } = spawnSync(process.execPath, args, options)
  if (error !== undefined) throw error
  if (!stdout.startsWith('{')) throw new Error(stdout + stderr)
  const { diagnostics } = JSON.parse(stdout) as { diagnostics: Diagnostic[] }
  return diagnostics.map(({ code, message, filename, labels: [label] }) => {
    const place = `${filename.replaceAll('\\', '/')}:${label?.span.line ?? 0}`
    return `${place} ${code}: ${message}`
  })
}
