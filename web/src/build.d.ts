/** The build of this page, twelve hex digits; a server of the same build says the same in `welcome`. */
declare const __CARETS_BUILD__: string;
