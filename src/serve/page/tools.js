// Tools: two that run here, and what a person declares and answers by hand.

class Arithmetic {  // a recursive descent over + - * / % ^ ( ) and a few functions
  constructor(text) {
    this.tokens = text.match(/\d+(?:\.\d+)?(?:e[+-]?\d+)?|\.\d+|[a-z]+|\*\*|[-+*/%^(),]|\S/gi) ?? [];
  }
  static functions = { sqrt: Math.sqrt, abs: Math.abs, round: Math.round, floor: Math.floor, ceil: Math.ceil, ln: Math.log,
    log: Math.log10, exp: Math.exp, sin: Math.sin, cos: Math.cos, tan: Math.tan, min: Math.min, max: Math.max };
  static constants = { pi: Math.PI, e: Math.E };
  take(...known) { return known.includes(this.tokens[0]) ? this.tokens.shift() : null; }
  expect(what) { if (!this.take(what)) throw new Error(`expected ${what}, found ${this.tokens[0] ?? 'the end'}`); }
  value() {
    const result = this.sum();
    if (this.tokens.length) throw new Error(`did not understand ${this.tokens[0]}`);
    return result;
  }
  sum() {
    let result = this.product();
    for (let sign; (sign = this.take('+', '-'));) result = sign === '+' ? result + this.product() : result - this.product();
    return result;
  }
  product() {
    let result = this.signed();
    for (let sign; (sign = this.take('*', '/', '%'));) {
      const right = this.signed();
      result = sign === '*' ? result * right : sign === '/' ? result / right : result % right;
    }
    return result;
  }
  signed() { return this.take('-') ? -this.signed() : this.take('+') ? this.signed() : this.power(); }
  power() {
    const base = this.atom();
    return this.take('^', '**') ? base ** this.signed() : base;
  }
  atom() {
    const token = this.tokens.shift();
    if (token === '(') {
      const inner = this.sum();
      this.expect(')');
      return inner;
    }
    if (/^[\d.]/.test(token ?? '')) return Number(token);
    const name = (token ?? '').toLowerCase();
    if (Object.hasOwn(Arithmetic.constants, name)) return Arithmetic.constants[name];
    if (!Object.hasOwn(Arithmetic.functions, name)) throw new Error(`did not understand ${token ?? 'the end'}`);
    this.expect('(');
    const values = [this.sum()];
    while (this.take(',')) values.push(this.sum());
    this.expect(')');
    return Arithmetic.functions[name](...values);
  }
}

const declare = (name, description, properties, required = []) => ({ type: 'function', function: { name, description,
  parameters: { type: 'object', properties, required, additionalProperties: false } } });

export const kBuiltinTools = {
  clock: {
    label: 'Clock',
    declaration: declare('clock', 'The date and time now, where the user is.', {}),
    run: () => {
      const now = new Date();
      return { local: now.toLocaleString('en-GB', { dateStyle: 'full', timeStyle: 'long' }), iso: now.toISOString(),
        time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone };
    },
  },
  calculator: {
    label: 'Calculator',
    declaration: declare('calculator', 'Computes an arithmetic expression such as (2+3)*sqrt(16).',
      { expression: { type: 'string', pattern: '^[-+*/%^()., 0-9a-z]{1,200}$' } }, ['expression']),
    run: ({ expression }) => ({ expression, value: calculate(expression) }),
  },
};

export function calculate(expression) {
  const result = new Arithmetic(String(expression)).value();
  return Number.isFinite(result) ? Number(result.toPrecision(15)) : String(result);
}

// The result of a call as text, if a tool of this page does it; else null.
export function runBuiltin(call) {
  if (!Object.hasOwn(kBuiltinTools, call.name)) return null;
  try {
    return JSON.stringify(kBuiltinTools[call.name].run(JSON.parse(call.arguments || '{}')));
  } catch (error) {
    return JSON.stringify({ error: error.message });
  }
}

// The declared tools of a conversation. Throws an Error with one sentence if they are no list of tools.
export function parseTools(text) {
  if (!text.trim()) return [];
  let list;
  try {
    list = JSON.parse(text);
  } catch (error) {
    throw new Error(`The tools are not JSON: ${error.message}.`);
  }
  list = (Array.isArray(list) ? list : [list]).map((tool) => (tool?.name && !tool.function ? { type: 'function', function: tool } : tool));
  const wrong = list.findIndex((tool) => typeof tool?.function?.name !== 'string');
  if (wrong >= 0) throw new Error(`Tool ${wrong + 1} has no name; a tool is {"name": …, "description": …, "parameters": {…}}.`);
  return list;
}

export function toolsOf(settings) {
  const own = parseTools(settings.tools ?? '');
  const taken = new Set(own.map((tool) => tool.function.name));
  return [...own, ...(settings.builtinTools ?? []).filter((name) => kBuiltinTools[name] && !taken.has(name))
    .map((name) => kBuiltinTools[name].declaration)];
}
