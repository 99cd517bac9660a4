/**
 * Build `dist` from `src`: the local TypeScript compiler, then the files it leaves out, and the
 * console. The new folder replaces the old one only when it is complete, so a failed build keeps
 * what works.
 */
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { isAlive } from './alive.mjs'
import { bundleConsole } from './console.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const dist = join(root, 'dist')
const source = join(root, 'src')
/** Beside dist, so that the paths in the source maps stay right after the move. */
const draft = join(root, `.dist-${process.pid}`)
/** What the pages need and the compiler does not copy. */
const ASSETS = /\.(html|css|svg|js|png|ico|woff2|json)$/

/** A build that was killed leaves its draft behind. */
function removeDrafts() {
  for (const name of fs.readdirSync(root)) {
    const pid = Number(/^\.dist-(\d+)$/.exec(name)?.[1])
    if (Number.isNaN(pid) || (pid !== process.pid && isAlive(pid))) continue
    fs.rmSync(join(root, name), { recursive: true, force: true })
  }
}

function compile() {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const flags = ['-p', join(root, 'tsconfig.build.json'), '--outDir', draft]
  const { status, error } = spawnSync(process.execPath, [tsc, ...flags], { stdio: 'inherit' })
  if (error !== undefined) throw error
  if (status !== 0) {
    fs.rmSync(draft, { recursive: true, force: true })
    console.error('The build failed; dist is as it was.')
    process.exit(1)
  }
}

function copyAssets() {
  for (const entry of fs.readdirSync(source, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !ASSETS.test(entry.name)) continue
    const from = join(entry.parentPath, entry.name)
    const to = join(draft, relative(source, from))
    fs.mkdirSync(dirname(to), { recursive: true })
    fs.copyFileSync(from, to)
  }
}

/** Compress the files of the console once, so that no process has to. */
function compressConsole() {
  const folder = join(draft, 'console')
  if (!fs.existsSync(folder)) return
  for (const entry of fs.readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/\.(html|css|svg|js|json)$/.test(entry.name)) continue
    const path = join(entry.parentPath, entry.name)
    const content = fs.readFileSync(path)
    fs.writeFileSync(`${path}.gz`, gzipSync(content, { level: 9 }))
    fs.writeFileSync(`${path}.br`, brotliCompressSync(content))
  }
}

/**
 * Make dist/main.js a program. The source map gets one empty line too, or it would be off by one.
 */
function makeProgram() {
  const path = join(draft, 'main.js')
  if (!fs.existsSync(path)) return
  const text = fs.readFileSync(path, 'utf8')
  if (!text.startsWith('#!')) {
    fs.writeFileSync(path, `#!/usr/bin/env node\n${text}`)
    const map = JSON.parse(fs.readFileSync(`${path}.map`, 'utf8'))
    fs.writeFileSync(`${path}.map`, JSON.stringify({ ...map, mappings: `;${map.mappings}` }))
  }
  fs.chmodSync(path, 0o755)
}

// The stamp bears the time before the compiler read the sources: an edit meanwhile builds again.
const startedAt = new Date()
removeDrafts()
compile()
copyAssets()
makeProgram()
await bundleConsole(join(draft, 'console'))
compressConsole()
const stamp = join(draft, '.built')
fs.writeFileSync(stamp, `${startedAt.toISOString()}\n`)
fs.utimesSync(stamp, startedAt, startedAt)
fs.rmSync(dist, { recursive: true, force: true })
fs.renameSync(draft, dist)
