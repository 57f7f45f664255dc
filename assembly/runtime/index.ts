import "./forbid";
