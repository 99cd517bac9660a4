import { newProgram, runProgram } from '../../src/process/command-line.ts'
import { loadCommand } from './command.ts'

const program = loadCommand(newProgram('npm run load --'))
runProgram((args) => program.parseAsync(args, { from: 'user' }))
