import { runProgram } from './process/command-line.ts'
import { parse } from './process/program.ts'

runProgram(parse)
